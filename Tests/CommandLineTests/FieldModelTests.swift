import Foundation
import JSONText
import TestSupport
import Testing

@testable import Documents

/// Models as people hand them in, through the command.
@Suite struct FieldModelTests {
  /// The first line and the notes of an estimate.
  private func estimate(_ name: String, sequence: Int = 2_048) async throws -> String {
    try await Workspace().sextant(
      "estimate", "--cluster", "dgx-h100-16", "--model", FieldCase.path(name), "--global-batch", "128", "--sequence",
      "\(sequence)", "--strategy", "tensor=4,data=32,micro_batch=1,zero_stage=1"
    ).succeeded()
  }

  private static let counts = [
    ("15-llama-shaped-configs/phi3-mini.json", "3,821,079,552"),
    ("15-llama-shaped-configs/smollm3-3b.json", "3,075,098,624"),
    ("15-llama-shaped-configs/internlm2-7b.json", "7,737,708,544"),
    ("15-llama-shaped-configs/granite-33-8b.json", "8,170,864,640"),
    ("15-llama-shaped-configs/olmo2-7b.json", "7,298,617,344"),
    ("15-llama-shaped-configs/baichuan2-13b.json", "13,896,668,160"),
    ("models/gemma2-9b.json", "9,241,705,984"), ("models/gemma3-27b.json", "27,009,346,304"),
    ("models/olmo2-7b.json", "7,298,617,344"), ("models/smollm3.json", "3,075,098,624"),
    ("models/granite-8b.json", "8,170,848,256"), ("models/phi3-mini.json", "3,821,079,552"),
    ("models/bloom-176b.json", "176,247,271,424"), ("models/neox-20b.json", "20,554,567,680"),
  ]

  @Test(arguments: counts)
  func parametersAreCountedExactly(name: String, count: String) async throws {
    let text = try await estimate(name)
    let model = name.split(separator: "/").last?.dropLast(5) ?? ""
    #expect(text.hasPrefix("\(model) (\(count) parameters) on dgx-h100-16"))
    #expect(text.contains("only the text model") == name.contains("gemma3"))
  }

  @Test(arguments: counts.map(\.0))
  func everyModelIsPlanned(name: String) async throws {
    let folder = try Workspace()
    let text = try await folder.sextant(
      "plan", "--cluster", "dgx-h100-16", "--model", FieldCase.path(name), "--global-batch", "128", "--sequence",
      "2048", "--top", "1", "--output", "plan.json"
    ).succeeded()
    #expect(text.contains("optimal under the model; no strategy scores below"))
    #expect(try await folder.sextant("explain", "plan.json").succeeded().contains(" parameters) on dgx-h100-16"))
  }

  /// They are planned, explained, verified, run in miniature and launched.
  @Test(arguments: ["mixtral", "qwen3-30b"]) func mixturesArePlannedAndRun(name: String) async throws {
    let folder = try Workspace()
    let text = try await folder.sextant(
      "plan", "--cluster", "dgx-h100-16", "--model", FieldCase.path("models/\(name).json"), "--global-batch", "128",
      "--fix", "tensor=1,pipeline=1,expert=8,moe_dispatcher=alltoall,zero_stage=1,recompute=full", "--output",
      "plan.json"
    ).succeeded()
    #expect(text.contains("experts over 8 ranks"))
    #expect(try await folder.sextant("explain", "plan.json").succeeded().contains("\n  expert  "))
    try await folder.sextant("verify", "plan.json").succeeded()
    let run = try await folder.sextant("dry-run", "plan.json", "--ranks", "8", "--steps", "1").succeeded()
    #expect(run.hasPrefix("The plan holds in miniature: 8 ranks"))
    #expect(try folder.names == ["plan.json"])
    // Written for Megatron-LM and read again.
    try await folder.sextant("export", "plan.json", "--output", "launch").succeeded()
    let read = try await folder.sextant("import", "--from", "megatron", "launch").succeeded()
    #expect(read.contains("experts over 8 ranks"), "\(read)")
  }

  // MARK: 17: windows, and sequences beyond the trained length

  @Test func aWindowInForceIsPricedAndSaid() async throws {
    let file = "17-sliding-window/mistral-7b-v01.json"
    let windowed = try ModelDescription(contentsOf: FieldCase.path(file))
    #expect(windowed.details.attentionWindow == 4_096)
    #expect(try await estimate(file, sequence: 32_768).contains("attention in every layer sees 4,096 tokens of 32,768"))
    #expect(!(try await estimate(file, sequence: 4_096).contains("Note:")))
    // Priced: at the same sequence, Llama's shape without a window takes longer.
    let folder = try Workspace()
    try folder.write(
      String(contentsOfFile: FieldCase.path(file), encoding: .utf8).replacing(
        "\"sliding_window\": 4096", with: "\"sliding_window\": null"), to: "full.json")
    func seconds(_ model: String) async throws -> Double {
      try await FieldCase.seconds(
        [
          "--cluster", "dgx-h100-16", "--model", model, "--global-batch", "128", "--sequence", "32768", "--strategy",
          "tensor=8,recompute=full",
        ])
    }
    #expect(try await seconds(FieldCase.path(file)) < 0.9 * seconds(folder.file("full.json")))
  }

  @Test func aWindowThatNoLayerHasIsSaid() async throws {
    // Its windows begin at layer 28 of 28.
    let text = try await estimate("17-sliding-window/qwen25-7b-1m-slide.json", sequence: 32_768)
    #expect(text.contains("Note: no layer has the window of 4,096 tokens that use_sliding_window turns on"))
    #expect(text.contains("max_window_layers"))
  }

  @Test func aSequenceBeyondTheTrainedLengthIsSaid() async throws {
    let file = "17-sliding-window/llama2-7b-old.json"
    #expect(try await estimate(file, sequence: 32_768).contains("longer than the 2,048 that llama2-7b-old is made for"))
    #expect(!(try await estimate(file).contains("Note:")))
  }
}
