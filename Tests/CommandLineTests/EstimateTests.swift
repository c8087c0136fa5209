import Documents
import Foundation
import FoundationXML
import JSONText
import TestSupport
import Testing

@Suite struct EstimateTests {
  @Test func oneStrategyIsEstimatedAsAPlanOfItPredicts() async throws {
    let folder = try Workspace()
    let request = ["--cluster", "dgx-a100-1", "--model", "gpt2", "--global-batch", "16"]
    let strategy = "tensor=2,pipeline=1,data=4,micro_batch=4,zero_stage=1,recompute=full,sequence_parallel=true"
    let text = try await folder.sextant(["estimate"] + request + ["--strategy", strategy, "--json"]).succeeded()
    try await folder.sextant(["plan"] + request + ["--fix", strategy, "--output", "plan.json"]).succeeded()
    let plan = try Plan(contentsOf: folder.file("plan.json"))
    let estimate = try JSON(parsing: Array(text.utf8))
    #expect(Self.member("prediction", of: estimate) == plan.prediction.json)
    #expect(Self.member("strategy", of: estimate) == plan.strategy.json)

    let summary = try await folder.sextant(["estimate"] + request + ["--strategy", strategy]).succeeded()
    #expect(summary.contains("\n\ntensor 2 × pipeline 1 × data 4"))
  }

  @Test func whatWasUnderstoodComesFirstAndDefaultsAreMarked() async throws {
    let folder = try Workspace()
    let request = ["--cluster", "dgx-a100-1", "--model", "gpt2", "--global-batch", "16"]
    let stated = [
      "--sequence", "512", "--precision", "fp16", "--gradient-precision", "fp32", "--framework", "megatron-fsdp",
    ]
    let (open, whole) = (
      "gpt2 (124,439,808 parameters) on dgx-a100-1: 8 × NVIDIA A100 SXM4 80 GB in 1 node, global batch 16, "
        + "sequence 1,024 (default), bf16 (default), gradients in fp32 (default), megatron-lm (default)\n\n",
      "gpt2 (124,439,808 parameters) on dgx-a100-1: 8 × NVIDIA A100 SXM4 80 GB in 1 node, global batch 16, "
        + "sequence 512, fp16, gradients in fp32, megatron-fsdp\n\n"
    )
    for (options, heading) in [([], open), (stated, whole)] {
      let estimate = try await folder.sextant(["estimate"] + request + options + ["--strategy", "data=8"]).succeeded()
      #expect(estimate.hasPrefix(heading))
      let plan = try await folder.sextant(["plan"] + request + options + ["--fix", "data=8"]).succeeded()
      #expect(plan.hasPrefix(heading))
      let text = try await folder.sextant(["estimate"] + request + options + ["--strategy", "data=8", "--json"])
        .succeeded()
      let question = Self.member("question", of: try JSON(parsing: Array(text.utf8)))
      #expect(Self.member("parameters", of: question) == .integer(124_439_808))
      #expect(Self.member("framework", of: question) == .string(options.isEmpty ? "megatron-lm" : "megatron-fsdp"))
      let defaults = ["sequence_length", "precision", "gradient_accumulation_precision", "framework"]
      #expect(Self.member("defaults", of: question) == .array(options.isEmpty ? defaults.map(JSON.string) : []))
    }
  }

  @Test func everyMeasuredRunGetsALineAndWhatCannotBePredictedSaysWhy() async throws {
    let folder = try Workspace()
    try folder.write(Self.records, to: "runs.jsonl")
    let output = try await folder.sextant("estimate", "--runs", "runs.jsonl", "--json").succeeded()
    let lines = try output.split(separator: "\n").map { try JSON(parsing: Array($0.utf8)) }
    #expect(lines.count == 4)
    #expect(lines.map { Self.member("id", of: $0) } == ["plain", "experts", "vague", "elsewhere"].map(JSON.string))

    guard case .number(let seconds) = Self.member("iteration_seconds", of: lines[0]) else {
      Issue.record("no time: \(output)")
      return
    }
    #expect(seconds > 0)
    #expect(Self.member("fits", of: lines[0]) == .string("fits"))
    #expect(Self.member("error", of: lines[0]) == nil)
    for (line, phrase) in zip(
      lines.dropFirst(), ["experts need sequence parallelism", "does not state pipeline", "unheard-of"])
    {
      guard case .string(let reason) = Self.member("error", of: line) else {
        Issue.record("no reason: \(output)")
        continue
      }
      #expect(reason.contains(phrase))
      #expect(Self.member("iteration_seconds", of: line) == nil)
    }

    let table = try await folder.sextant("estimate", "--runs", "runs.jsonl").succeeded()
    #expect(table.contains(": experts (runs.jsonl:2)\n"))
  }

  @Test func aBrokenRecordIsNamedByItsLineAndTheOthersAreUsed() async throws {
    let folder = try Workspace()
    let stub = #"{"schema": "sextant.run/1", "id": "stub", "family": "invented"}"#
    try folder.write(Self.records + "\n{\"schema\": \"sextant.run/1\", \"id\": \n" + stub, to: "runs.jsonl")
    let output = try await folder.sextant("estimate", "--runs", "runs.jsonl", "--json").succeeded()
    let lines = try output.split(separator: "\n").map { try JSON(parsing: Array($0.utf8)) }
    try #require(lines.count == 6)
    #expect(Self.member("source", of: lines[4]) == .string("runs.jsonl:6") && Self.member("id", of: lines[4]) == .null)
    #expect(Self.member("source", of: lines[5]) == .string("runs.jsonl:7"))
    #expect(Self.member("id", of: lines[5]) == .string("stub"))
    #expect(Self.member("error", of: lines[5]) == .string("expected the key \"cluster\", found none"))
    let table = try await folder.sextant("estimate", "--runs", "runs.jsonl").succeeded()
    #expect(table.contains("5 records are left out:\n") && table.contains(": vague (runs.jsonl:3)\n"))
    for arguments in [["estimate", "--runs"], ["validate", "--runs"]] {
      try await folder.sextant(arguments + ["runs.jsonl", "--strict"]).failed(65, "runs.jsonl:", "4 more")
    }

    // A file in which nothing is a run record is no such file.
    try folder.write("{\"schema\": \"sextant.run/2\"}\nhalf a line\n", to: "runs.jsonl")
    try await folder.sextant("validate", "--runs", "runs.jsonl").failed(65, "none of the 2 lines is such a record")
    try folder.write("{\"schema\": \"sextant.run/2\"}\n", to: "runs.jsonl")
    try await folder.sextant("estimate", "--runs", "runs.jsonl").failed(65, "runs.jsonl:1: /schema: ")
    try await folder.sextant("estimate", "--runs", "none.jsonl").failed(65, "none.jsonl: No such file")
    try await folder.sextant("estimate", "--runs", ".").failed(65, ".: is a directory")
  }

  /// A peak without a time, a time without a peak, one of the two in words, nothing at all, and both at once.
  @Test func aRecordIsUsedForWhatItHas() async throws {
    let folder = try Workspace()
    let records = [
      ("both", #"{"iteration_seconds": 0.05, "peak_bytes": 9000000000}"#), ("peak", #"{"peak_bytes": 9000000000}"#),
      ("time", #"{"iteration_seconds": 0.05}"#), ("wordy", #"{"iteration_seconds": 0.05, "peak_bytes": "9 GB"}"#),
      ("none", "{}"), ("torn", #"{"iteration_seconds": 0.05, "failed": true}"#),
    ].map { MeasuredRecords.record($0.0, measured: $0.1) }
    try folder.write(records.joined(separator: "\n"), to: "runs.jsonl")
    let text = try await folder.sextant("validate", "--runs", "runs.jsonl", "--json").succeeded()
    let json = try JSON(parsing: Array(text.utf8))
    let all = Self.member("all", of: json)
    #expect(Self.member("runs", of: Self.member("time", of: all)) == .integer(3))
    #expect(Self.member("runs", of: Self.member("memory", of: all)) == .integer(2))
    guard case .array(let unused)? = Self.member("unused_parts", of: json),
      case .array(let refused)? = Self.member("not_predicted", of: json)
    else {
      Issue.record("no lists: \(text)")
      return
    }
    #expect(unused.map { Self.member("id", of: $0) } == [.string("wordy")])
    #expect(Self.member("source", of: unused.first) == .string("runs.jsonl:4"))
    #expect(refused.map { Self.member("id", of: $0) } == [.string("none"), .string("torn")])

    let table = try await folder.sextant("validate", "--runs", "runs.jsonl").succeeded()
    #expect(table.contains("1 × nothing was measured: none (runs.jsonl:5)\n"))
    #expect(table.contains("/measured: expected either iteration_seconds or \"failed\": true, found {"))
    #expect(table.contains("1 record is used but for a part:\n  1 × /measured/peak_bytes: expected an integer"))
    try await folder.sextant("validate", "--runs", "runs.jsonl", "--strict").failed(65, "runs.jsonl:5: none: nothing")
    // What is not compared needs no measurement.
    let estimated = try await folder.sextant("estimate", "--runs", "runs.jsonl", "--json").succeeded()
    #expect(!estimated.contains("\"error\"") && estimated.split(separator: "\n").count == 6)
    #expect(estimated.contains("\"parameters\""))
    try await folder.sextant("estimate", "--runs", "runs.jsonl", "--strict").failed(
      65, "runs.jsonl:4: wordy: /measured")
    try folder.write(records[4], to: "none.jsonl")
    let nothing = try await folder.sextant("validate", "--runs", "none.jsonl")
    #expect(nothing.exitCode == 65 && nothing.errors == "sextant: --runs: no record can be judged\n")
    #expect(nothing.output.contains("nothing was measured: none (none.jsonl:1)"))
  }

  @Test func measuredRunsAreValidated() async throws {
    let folder = try Workspace()
    try folder.write(Self.records, to: "runs.jsonl")
    let table = try await folder.sextant("validate", "--runs", "runs.jsonl").succeeded()
    #expect(table.contains("3 records are left out:"))
    #expect(table.contains("1 × strategy does not state pipeline: vague (runs.jsonl:3)\n"))
    let text = try await folder.sextant("validate", "--runs", "runs.jsonl", "--json").succeeded()
    guard case .array(let refused) = Self.member("not_predicted", of: try JSON(parsing: Array(text.utf8))) else {
      Issue.record("no list: \(text)")
      return
    }
    #expect(refused.count == 3)
    try await folder.sextant("validate", "--runs", "none.jsonl").failed(65, "none.jsonl")
  }

  @Test func predictedAgainstMeasuredIsDrawn() async throws {
    let folder = try Workspace()
    try folder.write(MeasuredRecords.record("fast", seconds: 0.05), to: "runs.jsonl")
    _ = try await folder.sextant("validate", "--runs", "runs.jsonl", "--plot", "plot.svg").succeeded()
    let plot = try folder.text(of: "plot.svg")
    #expect(plot.hasPrefix("<svg ") && plot.hasSuffix("</svg>\n"))
    #expect(plot.contains("invented (1)") && plot.contains("measured, seconds"))
    #expect(XMLParser(data: Data(plot.utf8)).parse())
    try await folder.sextant("validate", "--runs", "runs.jsonl", "--plot", "no/plot.svg").failed(1, "no/plot.svg")
    // A run that nobody would judge leaves nothing to draw.
    try folder.write(MeasuredRecords.record("slow", seconds: 500), to: "runs.jsonl")
    try await folder.sextant("validate", "--runs", "runs.jsonl", "--plot", "none.svg").failed(65, "--plot: ")
    #expect(try !folder.names.contains("none.svg"))
  }

  @Test func thePageOfTheModelsAccuracyIsRewrittenBetweenItsMarkers() async throws {
    let folder = try Workspace()
    try folder.write(MeasuredRecords.record("fast", seconds: 0.05), to: "runs.jsonl")
    let before = "# Accuracy\n\nBy hand.\n\n<!-- figures: begin -->\nold\n<!-- figures: end -->\n\nMore.\n"
    try folder.write(before, to: "accuracy.md")
    let request = ["validate", "--runs", "runs.jsonl", "--report"]
    try await folder.sextant(request + ["accuracy.md"]).succeeded()
    let page = try folder.text(of: "accuracy.md")
    #expect(page.hasPrefix("# Accuracy\n\nBy hand.\n\n<!-- figures: begin -->\n"))
    #expect(page.hasSuffix("<!-- figures: end -->\n\nMore.\n") && !page.contains("old"))
    #expect(page.contains("| invented | 1 | ") && page.contains("](accuracy-errors.svg)"))
    for name in ["accuracy.svg", "accuracy-errors.svg"] {
      #expect(XMLParser(data: Data(try folder.text(of: name).utf8)).parse(), "\(name)")
    }
    // Again: the same bytes.
    try await folder.sextant(request + ["accuracy.md"]).succeeded()
    #expect(try folder.text(of: "accuracy.md") == page)
    try folder.write("no markers\n", to: "plain.md")
    try await folder.sextant(request + ["plain.md"]).failed(65, "plain.md: the markers")
    #expect(try folder.text(of: "plain.md") == "no markers\n" && !folder.names.contains("plain.svg"))
    try await folder.sextant(request + ["none.md"]).failed(65, "none.md: No such file")
  }

  /// One that can be predicted, a model of experts, one without a pipeline degree, an unknown device.
  private static var records: String {
    let vague = #"{"tensor": 2, "data": 2, "micro_batch": 2}"#
    return [
      MeasuredRecords.record("plain"), MeasuredRecords.record("experts", experts: 8),
      MeasuredRecords.record("vague", strategy: vague), MeasuredRecords.record("elsewhere", device: "unheard-of"),
    ].joined(separator: "\n") + "\n"
  }

  private static func member(_ key: String, of json: JSON?) -> JSON? {
    guard case .object(let members) = json else { return nil }
    return members.first { $0.key == key }?.value
  }
}
