import JSONText
import TestSupport
import Testing

/// A running configuration priced, and compared with a plan.
@Suite struct ConfigurationEstimateTests {
  private static let job = [
    "--cluster", "dgx-a100-4", "--model", "llama-3-8b", "--global-batch", "256", "--sequence", "4096",
  ]

  /// A folder with `run.json`: 32 replicas under a ZeRO stage.
  private func workspace(stage: Int, microBatch: Int = 1, accumulation: Int = 8) async throws -> Workspace {
    let folder = try Workspace()
    try folder.write(
      """
      {"train_micro_batch_size_per_gpu": \(microBatch), "gradient_accumulation_steps": \(accumulation),
       "bf16": {"enabled": true}, "data_types": {"grad_accum_dtype": "fp32"}, "activation_checkpointing": {},
       "zero_optimization": {"stage": \(stage), "overlap_comm": true}}
      """, to: "ds.json")
    try await folder.sextant(
      "import", "--from", "deepspeed", "ds.json", "--devices", "32", "--model", "llama-3-8b", "--output", "run.json"
    ).succeeded()
    return folder
  }

  @Test func aConfigurationIsPricedAsItsStrategyIs() async throws {
    let folder = try await workspace(stage: 2)
    let price = try await folder.sextant(
      "estimate", "--configuration", "run.json", "--cluster", "dgx-a100-4", "--sequence", "4096", "--json"
    ).succeeded()
    let stated = try await folder.sextant(
      ["estimate"] + Self.job + [
        "--framework", "deepspeed", "--json", "--strategy",
        "zero_stage=2,recompute=full,flash_attention=true,overlap_gradient_reduce=true",
      ]
    ).succeeded()
    // But for what the options leave open and the configuration states.
    func withoutDefaults(_ text: String) throws -> JSON {
      try JSON(parsing: Array(text.utf8)).replacing("/question/defaults", with: .array([]))
    }
    #expect(try withoutDefaults(price) == withoutDefaults(stated))
  }

  @Test func whatContradictsTheConfigurationIsRefused() async throws {
    let folder = try await workspace(stage: 2)
    let request = ["estimate", "--configuration", "run.json", "--cluster", "dgx-a100-4"]
    try await folder.sextant(request + ["--global-batch", "512"]).failed(
      65, "run.json: the configuration has the batch 256, but 512 is asked for")
    try await folder.sextant(request + ["--model", "llama-2-7b"]).failed(
      65, "the configuration has the model llama-3-8b")
    try await folder.sextant("estimate", "--configuration", "run.json", "--cluster", "dgx-a100-1").failed(
      65, "is 32 ranks, not the 8 devices")
    try await folder.sextant(request + ["--strategy", "tensor=2"]).failed(64, "--configuration")
  }

  @Test func whatToChangeFirstIsWhatGainsMostAlone() async throws {
    let folder = try await workspace(stage: 3)
    let request =
      ["plan"] + Self.job + ["--fix", "tensor=1,pipeline=1,zero_stage=1", "--compare", "run.json"]
    let text = try await folder.sextant(request).succeeded()
    #expect(text.contains("What runs takes "))
    #expect(text.contains("What to change, what gains most first:\n"))
    let json = try JSON(parsing: Array(await folder.sextant(request + ["--json"]).succeeded().utf8))
    guard case .object(let members) = json,
      case .object(let parts)? = members.first(where: { $0.key == "comparison" })?.value,
      case .array(let changes)? = parts.first(where: { $0.key == "changes" })?.value
    else {
      Issue.record("no comparison")
      return
    }
    #expect(!changes.isEmpty)
    var last = Double.infinity
    for case .object(let change) in changes where !change.contains(where: { $0.key == "needs" }) {
      guard case .number(let gain)? = change.first(where: { $0.key == "gain_seconds" })?.value else { continue }
      #expect(gain <= last)
      last = gain
    }
    #expect(members.first { $0.key == "plan" } != nil)
  }

  @Test func whatCannotStandAloneSaysWhatItNeeds() async throws {
    // A plan with tensor groups and sequence parallelism: the latter needs the former.
    let folder = try await workspace(stage: 2)
    let text = try await folder.sextant(
      ["plan"] + Self.job + [
        "--fix", "tensor=4,pipeline=1,sequence_parallel=true", "--compare", "run.json",
      ]
    ).succeeded()
    #expect(text.contains("  tensor: 1 -> 4: "))
    #expect(text.contains("  sequence_parallel: false -> true: "))
    #expect(text.contains("; alone: sequence parallelism needs a tensor degree of at least 2\n"))
  }
}
