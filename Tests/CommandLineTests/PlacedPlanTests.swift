import Documents
import Foundation
import JSONText
import TestSupport
import Testing

/// Plans for a cluster whose links were measured, and plans computed again.
@Suite struct PlacedPlanTests {
  /// Few layouts: each has its nodes arranged, which is what takes long.
  private static let request = [
    "--model", "llama-2-7b", "--global-batch", "512", "--top", "1", "--fix", "tensor=1,micro_batch=2,pipeline=1",
  ]

  /// A plan on the 16 measured hosts, made once.
  private static let plan = Task {
    let folder = try Workspace()
    let text = try await folder.sextant(["plan", "--cluster", "a100-hdr-16", "--json"] + request).succeeded()
    return try JSON(parsing: Array(text.utf8))
  }

  @Test func nodesAreArrangedAndThePlanSaysWhatThatIsWorth() async throws {
    let folder = try Workspace()
    try folder.write(try await Self.plan.value, to: "plan.json")
    let plan = try Plan(contentsOf: folder.file("plan.json"))
    #expect(plan.arrangement.reason == .searched)
    #expect(plan.arrangement.nodeOrder.sorted() == Array(0..<16))
    #expect(plan.prediction.iterationSeconds < plan.arrangement.givenOrderSeconds)
    #expect(plan.arrangement.moments.count == 2)
    #expect(plan.certificate.gap <= 0.02)
    let explanation = try await folder.sextant("explain", "plan.json").succeeded()
    for phrase in ["against the cluster's order (time_0", "Binding pair: agpu", "This plan: layers one split only"] {
      #expect(explanation.contains(phrase), "\(phrase)")
    }
    #expect(explanation.contains("by moving agpu") || explanation.contains("No node's place brings much"))
    #expect(plan.certificate.proofs.count == plan.certificate.completedCount)
    #expect(try await folder.sextant("verify", "plan.json").succeeded().contains("The plan holds"))
  }

  @Test func nodesThatAreNotNeededAreLeftOut() async throws {
    let folder = try Workspace()
    let request = ["plan", "--cluster", "a100-hdr-16", "--nodes", "12", "--output", "plan.json"] + Self.request
    let summary = try await folder.sextant(request.map { $0 == "512" ? "768" : $0 }).succeeded()
    let plan = try Plan(contentsOf: folder.file("plan.json"))
    #expect(plan.deviceCount == 96)
    #expect(Set(plan.arrangement.nodeOrder).count == 12)
    #expect(plan.prediction.iterationSeconds <= plan.arrangement.givenOrderSeconds)
    #expect(summary.contains("96 ×") && summary.contains("in 12 nodes") && summary.contains("left out: "))
    _ = try await folder.sextant("verify", "plan.json").succeeded()
    try await folder.sextant(request.map { $0 == "12" ? "17" : $0 })
      .failed(64, "--nodes: expected 1 to the cluster's 16, found 17")
  }

  @Test(arguments: [
    ("/prediction/iteration_seconds", 1.01), ("/certificate/lower_bound_seconds", 1.001),
    ("/arrangement/given_order_seconds", 1.5), ("/arrangement/snapshots/1/iteration_seconds", 0.9),
    ("/certificate/proofs/0/lower_bound_seconds", 0.99),
  ])
  func aPlanWhoseNumbersDoNotHoldIsRefused(pointer: String, factor: Double) async throws {
    let folder = try Workspace()
    let plan = try await Self.plan.value
    var value = plan
    for key in pointer.split(separator: "/") {
      switch value {
      case .object(let members): value = try #require(members.first { $0.key == key }).value
      case .array(let elements): value = elements[try #require(Int(key))]
      default: break
      }
    }
    guard case .number(let number) = value else {
      Issue.record("\(pointer) is no number")
      return
    }
    try folder.write(plan.replacing(pointer, with: .number(number * factor)), to: "plan.json")
    try await folder.sextant("verify", "plan.json").failed(3, "sextant: plan.json: does not hold: ")
  }

  @Test func linksThatDifferByChanceLeaveTheOrderAloneAndMissingOnesAreSaid() async throws {
    let folder = try Workspace()
    let text = try String(contentsOfFile: Shipped.root + "/Profiles/links/a100-hdr-16.json", encoding: .utf8)
    let links = try JSON(parsing: Array(text.utf8))
    var random = SeededGenerator(seed: 5)
    let snapshots = ["first", "second", "third"].map { name in
      JSON.object([
        JSONMember("name", .string(name)),
        JSONMember(
          "bytes_per_second",
          .array(
            (0..<16).map { row in
              .array(
                (0..<16).map { column in
                  let rate = JSON.number(Double.random(in: 18e9...20e9, using: &random))
                  return column == row || (row == 3 && column < 2) ? .null : rate
                })
            })),
      ])
    }
    try folder.write(links.replacing("/snapshots", with: .array(snapshots)), to: "links.json")
    let cluster = try String(contentsOfFile: Shipped.root + "/Clusters/a100-hdr-16.json", encoding: .utf8)
    try folder.write(
      try JSON(parsing: Array(cluster.utf8)).replacing("/measured", with: .string("links.json")), to: "cluster.json")
    let summary = try await folder.sextant(
      ["plan", "--cluster", "cluster.json", "--output", "plan.json"] + Self.request
    ).succeeded()
    #expect(summary.contains("Links: 2 of 240 between these nodes were not measured"))
    let plan = try Plan(contentsOf: folder.file("plan.json"))
    #expect(plan.arrangement.reason == .withinNoise)
    #expect(plan.arrangement.nodeOrder == Array(0..<16))
  }
}
