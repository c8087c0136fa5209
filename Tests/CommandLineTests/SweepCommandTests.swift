import Documents
import Foundation
import JSONText
import TestSupport
import Testing

/// `plan` over several numbers of nodes and batches.
@Suite struct SweepCommandTests {
  private static let request = ["plan", "--cluster", "dgx-a100-4", "--model", "gpt2", "--framework", "megatron-lm"]

  @Test func everyRowIsThePlanThatItsQuestionHasAlone() async throws {
    let folder = try Workspace()
    let several = ["--nodes", "1,2,4", "--global-batch", "32,64", "--price-per-device-hour", "2", "--tokens", "1B"]
    let text = try await folder.sextant(Self.request + several + ["--json", "--output", "table.json"]).succeeded()
    #expect(try folder.text(of: "table.json") == text)
    let json = try JSON(parsing: Array(text.utf8))
    let rows = try #require(Self.rows(of: json))
    #expect(rows.map { Self.integer("nodes", of: $0) } == [1, 1, 2, 2, 4, 4])
    #expect(rows.map { Self.integer("global_batch", of: $0) } == [32, 64, 32, 64, 32, 64])
    #expect(rows.map { Self.integer("devices", of: $0) } == [8, 8, 16, 16, 32, 32])
    #expect(Self.integer("asked", of: json) == 6)
    for (index, row) in rows.enumerated() where index % 3 == 0 {
      let alone = try await folder.sextant(
        Self.request + [
          "--nodes", "\(Self.integer("nodes", of: row) ?? 0)", "--global-batch",
          "\(Self.integer("global_batch", of: row) ?? 0)", "--json",
        ]
      ).succeeded()
      let plan = try JSON(parsing: Array(alone.utf8))
      #expect(Self.member("strategy", of: row) == Self.member("strategy", of: plan))
      #expect(
        Self.member("iteration_seconds", of: row)
          == Self.member("iteration_seconds", of: Self.member("prediction", of: plan)))
    }
    // The best are what the rows say.
    let rates = rows.map { Self.number("tokens_per_second", of: $0) }
    let costs = rows.map { Self.number("cost_per_billion_tokens", of: $0) }
    #expect(Self.integer("fastest", of: json) == rates.firstIndex(of: rates.max() ?? 0))
    #expect(Self.integer("cheapest", of: json) == costs.firstIndex(of: costs.min() ?? 0))
    #expect(rows.allSatisfy { Self.member("training_cost", of: $0) == Self.member("cost_per_billion_tokens", of: $0) })
    // Whatever the threads, and again.
    #expect(try await folder.sextant(Self.request + several + ["--json", "--threads", "1"]).succeeded() == text)

    let table = try await folder.sextant(Self.request + several).succeeded()
    let lines = table.split(separator: "\n")
    #expect(lines[0].hasPrefix("gpt2 (124,439,808 parameters) on dgx-a100-4, sequence 1,024 (default), bf16 (default)"))
    #expect(lines[1].contains("cost/10⁹ tokens") && lines[1].contains("tokens/s") && lines[1].contains("layout"))
    #expect(lines.count == 8)
    #expect(lines.count { $0.contains("fastest") } == 1 && lines.count { $0.contains("cheapest") } == 1)
  }

  /// A row without a plan says why, beside those with one; where no row has one, that is the exit code.
  @Test func aRowWithoutAPlanSaysWhy() async throws {
    let folder = try Workspace()
    let text = try await folder.sextant(
      Self.request + ["--nodes", "1,2", "--global-batch", "13,16", "--fix", "tensor=1,pipeline=1"]
    ).succeeded()
    let rows = text.split(separator: "\n").dropFirst(2)
    #expect(rows.count { $0.contains("no plan: ") } == 2 && rows.count == 5, "\(text)")
    #expect(text.contains("most per device") && text.contains("fastest"))
    #expect(text.contains("cheapest, whatever a device costs"))

    let large = ["plan", "--cluster", "dgx-a100-4", "--model", "megatron-1t", "--nodes", "1,2", "--global-batch", "8"]
    let run = try await folder.sextant(large + ["--fix", "tensor=8,recompute=full,offload_optimizer=false"])
    #expect(run.exitCode == 2 && run.errors.isEmpty)
    #expect(run.output.components(separatedBy: "no plan: does not fit: needs ").count == 3, "\(run.output)")
  }

  /// What was done before the limit is there; what was not is counted.
  @Test func aStopLeavesTheRowsThatAreDone() async throws {
    let folder = try Workspace()
    let slow = [
      "plan", "--cluster", "dgx-a100-128", "--model", "megatron-1t", "--global-batch", "3072", "--nodes",
      "64,128,96,32,48", "--threads", "1",
    ]
    let run = try await folder.sextant(slow + ["--top", "100"], interruptedAfter: 2)
    // A fast machine may be done, or have begun no row.
    #expect([0, 130].contains(run.exitCode), "\(run.errors)")
    if run.exitCode == 130 {
      #expect(
        run.errors.isEmpty ? run.output.contains("Stopped: ") || run.output.contains("(stopped)") : run.output.isEmpty)
    }
    let none = try await folder.sextant(slow + ["--time-limit", "0.000001"])
    #expect(
      none.exitCode == 1 && none.errors == "sextant: the time limit was reached before any row of the table was done\n")
    let limited = try await folder.sextant(slow + ["--time-limit", "3", "--json"])
    if limited.exitCode == 0 {
      let json = try JSON(parsing: Array(limited.output.utf8))
      #expect(Self.integer("asked", of: json) == 5 && (Self.rows(of: json)?.count ?? 0) <= 5)
    } else {
      #expect(limited.exitCode == 1, "\(limited.errors)")
    }
  }

  @Test(arguments: [
    (["plan", "--nodes", "2,x"], 64, "--nodes"), (["plan", "--nodes", "2,2"], 64, "--nodes"),
    (["plan", "--nodes", "2,"], 64, "--nodes"),
    (["plan", "--nodes", "2,8"], 64, "--nodes: expected 1 to the cluster's 4"),
    (["plan", "--nodes", "1,2", "--compare", "run.json"], 64, "--compare is about one plan"),
    (["plan", "--price-per-device-hour", "0"], 64, "--price-per-device-hour is above 0"),
    (["plan", "--tokens", "many"], 64, "a count such as 300e9, 300B or 15T"),
    (["plan", "--tokens=-1B"], 64, "a count such as 300e9"),
    (["estimate", "--nodes", "1,2", "--strategy", "zero_stage=1"], 64, "--nodes takes one value here"),
  ])
  func whatMakesNoTableIsOneLine(arguments: [String], code: Int32, phrase: String) async throws {
    try await Workspace().sextant(
      arguments + ["--cluster", "dgx-a100-4", "--model", "gpt2", "--global-batch", "32"]
    ).failed(code, phrase)
  }

  @Test func aPriceMakesATableOfOne() async throws {
    let text = try await Workspace().sextant(
      Self.request + ["--global-batch", "64", "--price-per-device-hour", "1.5"]
    ).succeeded()
    #expect(text.contains("cost/iteration") && text.contains("fastest, cheapest"))
  }

  private static func member(_ key: String, of json: JSON?) -> JSON? {
    guard case .object(let members)? = json else { return nil }
    return members.first { $0.key == key }?.value
  }

  private static func integer(_ key: String, of json: JSON?) -> Int? {
    guard case .integer(let value)? = member(key, of: json) else { return nil }
    return value
  }

  private static func number(_ key: String, of json: JSON?) -> Double {
    switch member(key, of: json) {
    case .number(let value): value
    case .integer(let value): Double(value)
    default: .nan
    }
  }

  private static func rows(of json: JSON?) -> [JSON]? {
    guard case .array(let rows)? = member("rows", of: json) else { return nil }
    return rows
  }
}
