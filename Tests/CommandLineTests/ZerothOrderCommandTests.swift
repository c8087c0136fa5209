import Foundation
import Testing

/// Zeroth-order training from the command line: planned, explained, verified, executed, and exported to nobody.
@Suite struct ZerothOrderCommandTests {
  private static func request(_ rest: String...) -> [String] {
    [
      "plan", "--cluster", "rtx-4090-4", "--nodes", "1", "--model", "opt-175b", "--global-batch", "8", "--sequence",
      "1024", "--precision", "bf16",
    ] + rest
  }

  @Test func aPlanGoesAllTheWayButToALauncher() async throws {
    let folder = try Workspace()
    let text = try await folder.sextant(
      Self.request(
        "--allow", "zeroth-order", "--zo-directions", "2", "--zo-seed", "7", "--output", folder.file("plan.json"))
    ).succeeded()
    for phrase in [
      "zeroth order, losses divided over", "Algorithmically different: weights move by losses alone",
      "For no framework: none that is known trains by losses alone",
      "Zeroth order: 4 losses an iteration along 2 directions",
      "learning rate 1e-06, seed 7", "Layers on the host between their visits:", "Against training by gradients",
      "no plan fits into memory", "first-order training",
    ] { #expect(text.contains(phrase), "\(phrase): \(text)") }
    let explained = try await folder.sextant("explain", folder.file("plan.json")).succeeded()
    #expect(explained.contains("given up: an iteration learns one number of each of 2 directions"))
    let verified = try await folder.sextant("verify", folder.file("plan.json")).succeeded()
    #expect(verified.contains("The plan holds"))
    let executed = try await folder.sextant("dry-run", folder.file("plan.json"), "--steps", "2").succeeded()
    #expect(executed.contains("The plan holds in miniature"))
    #expect(executed.contains("from the host"))
    try await folder.sextant(
      "export", folder.file("plan.json"), "--for", "deepspeed", "--output", folder.file("launch")
    ).failed(2, "plan.json")
    #expect(!FileManager.default.fileExists(atPath: folder.file("launch")))
  }

  @Test func whoEvaluatesWhatCannotBeEdited() async throws {
    let folder = try Workspace()
    _ = try await folder.sextant(
      Self.request("--allow", "zeroth-order", "--fix", "perturbation=2", "--output", folder.file("plan.json"))
    )
    .succeeded()
    let plan = try String(contentsOfFile: folder.file("plan.json"), encoding: .utf8)
    for (part, other, complaint) in [
      ("\"sign\": -1", "\"sign\": 1", "/zeroth_order: zeroth_order is not what the strategy says"),
      ("\"update\": \"zeroth-order\"", "\"update\": \"first-order\"", "forward-only"),
      ("\"perturbation\": 2", "\"perturbation\": 4", "does not divide the 2 losses"),
    ] {
      #expect(plan.contains(part), "\(part)")
      try plan.replacingOccurrences(of: part, with: other)
        .write(toFile: folder.file("edited.json"), atomically: true, encoding: .utf8)
      try await folder.sextant("explain", folder.file("edited.json")).failed(65, complaint)
    }
  }

  @Test func whatCannotBeIsRefusedInALine() async throws {
    let folder = try Workspace()
    try await folder.sextant(Self.request("--fix", "update=zeroth-order")).failed(64, "needs zeroth-order allowed")
    try await folder.sextant(Self.request("--allow", "zeroth-order", "--zo-directions", "0"))
      .failed(64, "--zo-directions: expected a number from 1 to 64, found 0")
    try await folder.sextant(Self.request("--allow", "zeroth-order", "--zo-learning-rate", "nan"))
      .failed(64, "--zo-learning-rate: expected a number from 1e-12 to 1.0, found nan")
    for (strategy, complaint) in [
      ("update=zeroth-order,recompute=full", "no backward pass to recompute for"),
      ("update=zeroth-order,zero_stage=1", "no gradients or optimizer states to divide"),
      ("update=zeroth-order,host_update_percent=50", "no optimizer states that a host could update"),
      ("update=zeroth-order,virtual_stages=2,pipeline=2", "no virtual stages"),
      ("perturbation=2", "is of update zeroth-order"),
      ("update=zeroth-order,perturbation=3", "the perturbation degree 3 does not divide"),
      ("schedule=forward-only", "is that of update"),
    ] {
      try await folder.sextant(
        "estimate", "--cluster", "dgx-a100-1", "--model", "opt-175b", "--global-batch", "8", "--strategy", strategy
      ).failed(65, complaint)
    }
  }
}
