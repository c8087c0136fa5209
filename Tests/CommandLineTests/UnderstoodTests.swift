import Documents
import Foundation
import TestSupport
import Testing

/// A first look at what was understood: the model's size wherever a model is taken, and what a plan's heading says.
@Suite struct UnderstoodTests {
  private static let question = [
    "--cluster", "dgx-h100-1", "--model", "llama-3-8b", "--global-batch", "64", "--sequence", "8192",
  ]

  @Test func theHeadingSaysHowManyLayersAreRecomputed() async throws {
    let folder = try Workspace()
    let text = try await folder.sextant(
      ["plan"] + Self.question + [
        "--fix", "tensor=2,pipeline=1,context=1,zero_stage=1,micro_batch=2", "--output", "plan.json",
      ]
    ).succeeded()
    let plan = try Plan(contentsOf: folder.file("plan.json"))
    #expect(plan.strategy.recompute == .full)
    let layers = try #require(plan.split.choices?.first).recomputedLayerCount
    // Some, and not all of them, are what makes it fit.
    #expect((1..<32).contains(layers))
    for heading in [text, try await folder.sextant("explain", "plan.json").succeeded()] {
      let line = try #require(heading.split(separator: "\n").first { $0.hasPrefix("tensor 2 ×") })
      #expect(line.contains("recompute \(layers) of 32 layers"), "\(line)")
      #expect(!line.contains("recompute full"), "\(line)")
    }
    // The table says it as well.
    #expect(text.contains(" \(layers)/32 "))
  }

  @Test func everyCommandThatTakesAModelSaysItsParameters() async throws {
    let folder = try Workspace()
    let count = "8,030,261,248"
    try folder.write(
      """
      {"train_micro_batch_size_per_gpu": 1, "gradient_accumulation_steps": 8, "bf16": {"enabled": true},
       "data_types": {"grad_accum_dtype": "fp32"}, "activation_checkpointing": {}, "zero_optimization": {"stage": 3}}
      """, to: "ds.json")
    let strategy = ["--strategy", "tensor=2,data=4,zero_stage=1,recompute=full"]
    let running = ["estimate", "--configuration", "run.json", "--cluster", "dgx-h100-1", "--sequence", "8192"]
    for arguments in [
      ["plan"] + Self.question + ["--top", "1", "--output", "plan.json"],
      ["estimate"] + Self.question + strategy,
      ["explain", "plan.json"],
      ["import", "--from", "deepspeed", "ds.json", "--devices", "8", "--model", "llama-3-8b", "--output", "run.json"],
      running,
    ] {
      let text = try await folder.sextant(arguments).succeeded()
      #expect(text.contains("\(count) parameters"), "\(arguments)")
    }
    for arguments in [["estimate"] + Self.question + strategy, running] {
      #expect(try await folder.sextant(arguments + ["--json"]).succeeded().contains("\"parameters\": 8030261248"))
    }
  }
}
