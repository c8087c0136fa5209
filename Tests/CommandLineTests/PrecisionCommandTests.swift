import Documents
import Foundation
import JSONText
import TestSupport
import Testing

/// Plans that choose the format of their products, from the command line to a launcher.
@Suite struct PrecisionCommandTests {
  private static func request(
    _ rest: String..., cluster: String = "dgx-h100-1", fix: String = "pipeline=1,virtual_stages=1"
  ) -> [String] {
    ["plan", "--cluster", cluster, "--model", "llama-3-8b", "--global-batch", "16", "--sequence", "4096", "--fix", fix]
      + rest
  }

  @Test func aPlanGoesAllTheWayToALauncher() async throws {
    let folder = try Workspace()
    let text = try await folder.sextant(
      Self.request("--allow", "low-precision", "--tolerance", "0.06", "--margin", "0", "--output", "plan.json")
    ).succeeded()
    for phrase in [
      "bf16 (default)", "products in fp8-delayed",
      "Numerically different: products in fp8-delayed, relative error 5.3 %",
      "Precisions to choose from: bf16, fp8-delayed, fp8-current-scaling, fp8-blockwise\n",
      "  not mxfp8: NVIDIA H100 SXM5 80 GB does not multiply in it by itself",
      "  not nvfp4: its relative error of 0.1367 is more than the 0.06 that is accepted", "products in bf16",
    ] { #expect(text.contains(phrase), "\(phrase): \(text)") }
    let explained = try await folder.sextant("explain", "plan.json").succeeded()
    #expect(explained.contains("products in fp8-delayed") && explained.contains("What the plan hangs on"))
    #expect(try await folder.sextant("verify", "plan.json").succeeded().contains("The plan holds"))
    let executed = try await folder.sextant("dry-run", "plan.json", "--steps", "2").succeeded()
    #expect(executed.contains("The plan holds in miniature") && executed.contains("fp8-delayed"))
    try await folder.sextant("export", "plan.json", "--for", "megatron-lm", "--output", "launch").succeeded()
    let launched = try FileManager.default.contentsOfDirectory(atPath: folder.file("launch")).map {
      try folder.text(of: "launch/\($0)")
    }
    #expect(launched.contains { $0.contains("--fp8-recipe") && $0.contains("delayed") })

    let json = try JSON(parsing: Array(folder.text(of: "plan.json").utf8))
    // Another format that may be chosen is judged by its own time; one that may not be, or in which exchanges are not beside
    // products or weights not gathered, is refused.
    try folder.write(json.replacing("/precision", with: .string("fp8-blockwise")), to: "edited.json")
    try await folder.sextant("explain", "edited.json").failed(65, "/strategy: weights of fp8-blockwise are gathered as")
    let stored = json.replacing("/strategy/narrow_weights", with: .boolean(false))
    try folder.write(stored.replacing("/precision", with: .string("fp8-blockwise")), to: "edited.json")
    try await folder.sextant("explain", "edited.json").failed(
      65, "/strategy: megatron-lm (core 0.20) overlaps no tensor exchanges in fp8-blockwise")
    let wide = stored.replacing("/strategy/overlap_tensor_exchange", with: .boolean(false))
    try folder.write(wide.replacing("/precision", with: .string("fp8-blockwise")), to: "edited.json")
    try await folder.sextant("explain", "edited.json").failed(65, "/decisions")
    let decisions = json.replacing("/precision", with: .string("fp8-current-scaling"))
    try folder.write(decisions, to: "current.json")
    try await folder.sextant("verify", "current.json").failed(3, "/precision states fp8-current-scaling")
    for (format, reason) in [
      ("mxfp8", "NVIDIA H100 SXM5 80 GB does not multiply in it by itself"), ("nvfp4", "its relative error of 0.1367"),
    ] {
      try folder.write(json.replacing("/precision", with: .string(format)), to: "refused.json")
      try await folder.sextant("verify", "refused.json").failed(65, "/precision: \(format) cannot be chosen: \(reason)")
    }
  }

  @Test func devicesWithoutFP8KeepTheJobsPrecision() async throws {
    let folder = try Workspace()
    let text = try await folder.sextant(
      Self.request("--allow", "low-precision", "--tolerance", "1", cluster: "dgx-a100-1")
    ).succeeded()
    #expect(text.contains("products in bf16") && text.contains("Precisions to choose from: bf16\n"))
    #expect(text.contains("not fp8-delayed: NVIDIA A100 SXM4 80 GB does not multiply in it by itself"), "\(text)")
    #expect(!text.contains("Numerically different"))
  }

  @Test func aTableSaysWhatEachRowChose() async throws {
    let folder = try Workspace()
    let text = try await folder.sextant(
      Self.request(
        "--allow", "low-precision", "--tolerance", "0.06", "--margin", "0", "--nodes", "1,2", "--output", "table.json",
        cluster: "dgx-h100-4")
    ).succeeded()
    #expect(text.components(separatedBy: " fp8-delayed").count == 3, "\(text)")
    #expect(try folder.text(of: "table.json").components(separatedBy: "\"precision\": \"fp8-delayed\"").count == 3)
  }

  @Test func narrowerProductsAreAChangeOfWhatRuns() async throws {
    let folder = try Workspace()
    let examples = "\(Shipped.root)/docs/examples/running"
    _ = try await folder.sextant(
      "import", "--from", "deepspeed", "\(examples)/ds_config.json", "\(examples)/hostfile", "--model", "llama-3-8b",
      "--output", "running.json"
    ).succeeded()
    let text = try await folder.sextant(
      "plan", "--cluster", "dgx-h100-4", "--model", "llama-3-8b", "--global-batch", "256", "--sequence", "4096",
      "--compare", "running.json", "--allow", "low-precision", "--tolerance", "0.06", "--margin", "0", "--framework",
      "any", "--fix",
      "tensor=1,pipeline=1"
    ).succeeded()
    #expect(text.contains("precision: bf16 -> fp8-delayed"), "\(text)")
  }

  /// Layers that stay in bf16 go from a flag to a plan, its launch and back.
  @Test func layersInBF16GoAllTheWayToALauncher() async throws {
    let folder = try Workspace()
    let request = ["--precision", "fp8-current-scaling", "--bf16-layers", "1,2"]
    try await folder.sextant(Self.request("--output", "plan.json") + request).succeeded()
    let plan = try folder.text(of: "plan.json")
    #expect(plan.contains("\"bf16_layers\"") && plan.contains("\"narrow_weights\": true"))
    #expect(try await folder.sextant("verify", "plan.json").succeeded().contains("The plan holds"))
    let executed = try await folder.sextant("dry-run", "plan.json", "--steps", "1").succeeded()
    #expect(executed.contains("Those of the first 1 and the last 2 layers are not."), "\(executed)")
    try await folder.sextant("export", "plan.json", "--for", "megatron-lm", "--output", "launch").succeeded()
    let words = try folder.text(of: "launch/megatron-arguments.txt")
    #expect(
      words.contains(
        "--first-last-layers-bf16\n--num-layers-at-start-in-bf16\n1\n--num-layers-at-end-in-bf16\n2\n"), "\(words)")
    try await folder.sextant(
      "import", "--from", "megatron-lm", "launch/megatron-arguments.txt", "--devices", "8", "--output", "run.json"
    ).succeeded()
    #expect(try folder.text(of: "run.json").contains("\"bf16_layers\""))
    let head = try await folder.sextant(
      Self.request("--precision", "mxfp8", "--narrow-head", "--output", "head.json", cluster: "dgx-b200-1")
    ).succeeded()
    #expect(head.contains("mxfp8, the head's products as well"))
    try await folder.sextant("export", "head.json", "--for", "megatron-lm", "--output", "head").succeeded()
    #expect(try folder.text(of: "head/megatron-arguments.txt").contains("--fp8-output-proj"))
    for (flags, code, complaint) in [
      (["--bf16-layers", "20,20"], Int32(65), "20 first and 20 last layers in bf16 are more than the 32 there are"),
      (["--bf16-layers", "1"], 64, "--bf16-layers"), (["--bf16-layers", "1,-1"], 64, "--bf16-layers"),
      (["--bf16-layers", "1,1", "--framework", "torchtitan"], 2, "multiplies all layers alike in mxfp8"),
    ] {
      try await folder.sextant(Self.request("--precision", "mxfp8", cluster: "dgx-b200-1") + flags).failed(
        code, complaint)
    }
  }

  @Test func whatCannotBeIsRefusedInALine() async throws {
    let folder = try Workspace()
    for (flags, complaint) in [
      (["--allow", "low-precision"], "--allow low-precision changes values: --tolerance has to say"),
      (["--allow", "low-precision", "--tolerance", "0"], "a fraction from 1e-9 to 1"),
      (
        ["--allow", "low-precision,fp8", "--tolerance", "0.1"], "--allow knows zero++, zeroth-order, co2, low-precision"
      ),
      (["--allow", "low-precision", "--tolerance", "0.1", "--precision", "fp16"], "and the job is in fp16"),
      (["--allow", "low-precision", "--tolerance", "0.1", "--precision", "mxfp8"], "and the job is in mxfp8"),
    ] {
      try await folder.sextant(["plan", "--cluster", "dgx-h100-1", "--model", "gpt2", "--global-batch", "16"] + flags)
        .failed(64, complaint)
    }
  }
}
