import Documents
import Foundation
import JSONText
import Testing

@testable import Profiling

/// Whole runs in one process over the loopback interface, with rates that the nodes' own limits set.
@Suite(.serialized) struct LinkRunTests {
  /// Small enough for a loaded machine.
  static func settings(stallSeconds: Double = 5) throws -> ProbeSettings {
    try ProbeSettings(
      messageBytes: [16_384, 131_072], streamCounts: [1], warmUpCount: 1, leastSampleCount: 5, slotSeconds: 0.05,
      stallSeconds: stallSeconds)
  }

  /// Limits of the nodes in turn, a factor of three apart, bytes per second. A message of 128 KiB takes 60 or 190 ms at
  /// them, which other work on the machine can only make longer.
  private static let slow = 0.7e6, fast = 2.1e6

  private static func limits(_ nodeCount: Int) -> [Double] { (0..<nodeCount).map { $0 % 2 == 0 ? slow : fast } }

  /// Checks that of ten rates in one run at most one is not its sender's: the slow stay near their limit, and the fast
  /// are beyond what the slow can reach, if not as fast as their own limit where the machine is busy.
  ///
  /// Rates that are those of the receiver, of another pair or of no one are wrong for half of the pairs or more.
  private static func expectSendersLimits(_ rates: [(from: Int, bytesPerSecond: Double)]) {
    let wrong = rates.filter { ($0.bytesPerSecond < 1.25 * slow) != ($0.from % 2 == 0) }
    #expect(wrong.count <= rates.count / 10, "\(wrong) of \(rates.count)")
  }

  @Test(arguments: [2, 5, 8])
  func everyPairIsMeasuredInTheFewestRounds(nodeCount: Int) throws {
    let run = LocalRun(
      nodeCount: nodeCount, settings: try Self.settings(), measuresLoopback: nodeCount == 5,
      bytesPerSecond: Self.limits(nodeCount))
    let (survey, endings) = try run.survey()
    #expect(endings.allSatisfy { $0 == nil }, "\(endings)")
    #expect(survey.isComplete)
    #expect(survey.roundCount == (nodeCount % 2 == 0 ? nodeCount - 1 : nodeCount))
    var rates: [(from: Int, bytesPerSecond: Double)] = []
    for from in 0..<nodeCount {
      for to in 0..<nodeCount where from != to || nodeCount == 5 {
        rates.append((from, try #require(survey.bytesPerSecond(from, to), "\(survey.outcomes[from][to])")))
      }
    }
    Self.expectSendersLimits(rates)
    let links = survey.document(.init(name: "test", source: "test", time: "2026-01-01T00:00:00Z"))
    #expect(links.inside.count == (nodeCount == 5 ? 5 : 0))
    // What is written is read again as it was.
    let text = links.json.text(style: .pretty)
    #expect(try MeasuredLinks(parse(Array(text.utf8), source: "test")) == links)
  }

  @Test func oneLinkAtATimeMeasuresTheSame() throws {
    var run = LocalRun(nodeCount: 3, settings: try Self.settings(), bytesPerSecond: Self.limits(3))
    run.isLoaded = false
    let (survey, _) = try run.survey()
    #expect(survey.isComplete && survey.roundCount == 3)
    #expect(survey.document(.init(name: "t", source: "t", time: "t")).snapshots[0].load == .idle)
    Self.expectSendersLimits(
      try (0..<3).map { ($0, try #require(survey.bytesPerSecond($0, ($0 + 1) % 3))) })
  }

  @Test func streamsShareAMessage() throws {
    let settings = try ProbeSettings(
      messageBytes: [131_072], streamCounts: [1, 3], warmUpCount: 2, leastSampleCount: 5, slotSeconds: 0.05)
    let (survey, _) = try LocalRun(nodeCount: 2, settings: settings, bytesPerSecond: [Self.slow, Self.slow]).survey()
    guard case .measured(let measured) = survey.outcomes[0][1] else { throw LinkRunError.interrupted }
    #expect(measured.sizes.map(\.streamCount) == [1, 3])
    // The limit is one of each stream: three take a third of the time, one of them would take all of it.
    Self.expectSendersLimits([(0, measured.sizes[0].bytesPerSecond), (1, measured.sizes[1].bytesPerSecond)])
    #expect(measured.best?.streamCount == 3)
  }

  @Test func whatIsKnownIsNotMeasuredAgain() throws {
    let settings = try Self.settings()
    let caption = LinkSurvey.Caption(name: "test", source: "test", time: "2026-01-01T00:00:00Z")
    var run = LocalRun(nodeCount: 4, settings: settings, joinSeconds: 1, bytesPerSecond: [4e6, 4e6, 4e6, 4e6])
    run.absent = [2]
    let first = try run.survey().survey
    #expect(!first.isComplete)
    #expect(first.nodes[2].failure == "did not come within 1 s")
    let document = first.document(caption)
    #expect(document.nodeNames == ["node-0", "node-1", "rank-2", "node-3"])
    #expect(document.snapshots[0].gaps.map(\.reason) == ["did not come within 1 s", "did not come within 1 s"])

    run.absent = []
    run.known = LinkCoordinator.known(in: document)
    #expect(run.known.count == 6)
    let second = try run.survey().survey
    #expect(second.isComplete)
    #expect(second.outcomes[0][1] == .known && second.outcomes[3][1] == .known)
    #expect(second.bytesPerSecond(2, 1) != nil && second.bytesPerSecond(0, 2) != nil)
    let whole = second.document(caption, resuming: document)
    #expect(whole.nodeNames == ["node-0", "node-1", "node-3", "node-2"])
    let rates = whole.snapshots[0].bytesPerSecond
    for from in 0..<4 { for to in 0..<4 where from != to { #expect(rates[from][to] != nil, "\(from) \(to)") } }
    #expect(rates[0][1] == document.snapshots[0].bytesPerSecond[0][1])
    #expect(whole.snapshots[0].gaps.isEmpty)
  }

  /// A rank that never came has no name but its number; it may well be a node that the document knows.
  @Test func aNodeThatNeverCameIsNotAddedToWhatIsResumed() throws {
    let caption = LinkSurvey.Caption(name: "test", source: "test", time: "2026-01-01T00:00:00Z")
    var run = LocalRun(nodeCount: 3, settings: try Self.settings())
    let before = try run.survey().survey.document(caption)
    run.nodeCount = 4
    run.absent = [3]
    run.joinSeconds = 1
    run.known = LinkCoordinator.known(in: before).subtracting([.init(from: "node-0", to: "node-1")])
    let survey = try run.survey().survey
    #expect(survey.nodes[3].name == "rank-3" && survey.nodes[3].failure == "did not come within 1 s")
    let after = survey.document(caption, resuming: before)
    #expect(after.nodeNames == before.nodeNames && after.snapshots[0].gaps.isEmpty)
    #expect(after.snapshots[0].bytesPerSecond[1][2] == before.snapshots[0].bytesPerSecond[1][2])
    // Without a document to go on with, the row is there and says why it is empty.
    #expect(survey.document(caption).nodeNames == ["node-0", "node-1", "node-2", "rank-3"])
  }

  /// A run that is stopped before all came knows nothing of who did not, so there is nothing to infer either.
  @Test func nothingIsInferredOfANodeThatNeverCame() throws {
    let size = DirectionMeasurement.Size(messageBytes: 4_096, streamCount: 1, seconds: [1e-4, 2e-4, 3e-4])
    let measured = LinkSurvey.Outcome.measured(.init(latencySeconds: 1e-5, pingCount: 9, sizes: [size]))
    let survey = LinkSurvey(
      nodes: [("a", true), ("b", true), ("rank-2", false)].map {
        .init(name: $0, hasCome: $1, block: "", failure: nil)
      },
      outcomes: [
        [.notTried, measured, .notTried], [.notTried, .notTried, .notTried], .init(repeating: .notTried, count: 3),
      ],
      isLoaded: true, roundCount: 1, refusedCount: 0, wasInterrupted: true)
    let rates = survey.document(.init(name: "t", source: "t", time: "t"), inferringFromBlocks: ["", "", ""])
      .snapshots[0].bytesPerSecond
    #expect(rates[1][0] != nil && rates[0][2] == nil && rates[2][1] == nil)
  }

  @Test func aSampledRunSaysWhatItInferred() throws {
    var run = LocalRun(nodeCount: 6, settings: try Self.settings(), bytesPerSecond: (0..<6).map { _ in 1.5e6 })
    run.sampledRoundCount = 2
    let survey = try run.survey().survey
    #expect(survey.isComplete && survey.roundCount == 2)
    let links = survey.document(
      .init(name: "t", source: "t", time: "t"), inferringFromBlocks: survey.blocks(nodesPerRack: 3))
    let snapshot = links.snapshots[0]
    var measured: [Double] = [], inferred: [Double] = []
    for from in 0..<6 {
      for to in 0..<6 where from != to {
        let rate = try #require(snapshot.bytesPerSecond[from][to])
        let origin = try #require(snapshot.originIndex?[from][to])
        if links.origins[origin].trust == .inferred {
          inferred.append(rate)
          #expect(snapshot.sampleCount?[from][to] == nil)
        } else {
          measured.append(rate)
        }
      }
    }
    #expect(measured.count == 12 && inferred.count == 30 - 12)
    // Whatever was measured: all nodes are alike, and medians of it infer no rate that is far from all of it.
    let least = measured.min() ?? 0, most = measured.max() ?? 0
    #expect(
      inferred.allSatisfy { (least * least / most...most * most / least).contains($0) }, "\(measured), \(inferred)")
    #expect(LinkCoordinator.known(in: links).count == 12)
  }

  @Test func anInterruptedRunKeepsWhatItHas() throws {
    let run = LocalRun(nodeCount: 6, settings: try Self.settings(), bytesPerSecond: (0..<6).map { _ in 2e6 })
    let (survey, _) = try run.survey(interruptingAfter: 3)
    #expect(survey.wasInterrupted && !survey.isComplete)
    #expect(survey.nodes.allSatisfy { $0.failure == nil })
    let measuredCount = survey.outcomes.joined().count { if case .measured = $0 { true } else { false } }
    #expect(measuredCount >= 6, "both directions of three links")
  }
}
