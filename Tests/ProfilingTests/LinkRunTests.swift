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

  /// Measures until figures are right, five minutes at most: what else the machine does makes one too low, or too high where
  /// a limit catches up after a pause. What is wrong stays wrong.
  private static func measuring(until areRight: () -> Bool, _ body: () throws -> Void) rethrows {
    let start = ContinuousClock.now
    repeat { try body() } while !areRight() && (ContinuousClock.now - start).inSeconds < 300
  }

  /// Rates within 5 %: each node's limit is another one, so that rows and columns cannot be mixed up.
  @Test(arguments: [2, 5, 8])
  func everyPairIsMeasuredInTheFewestRounds(nodeCount: Int) throws {
    let rates = (0..<nodeCount).map { 1e6 * (1 + 0.25 * Double($0)) }
    let run = LocalRun(
      nodeCount: nodeCount, settings: try Self.settings(), measuresLoopback: nodeCount == 5, bytesPerSecond: rates)
    var shares = [[Double]](repeating: [Double](repeating: 0, count: nodeCount), count: nodeCount)
    try Self.measuring(until: { Self.areRight(shares, diagonal: nodeCount == 5) }) {
      let (survey, endings) = try run.survey()
      #expect(endings.allSatisfy { $0 == nil }, "\(endings)")
      #expect(survey.isComplete)
      #expect(survey.roundCount == (nodeCount % 2 == 0 ? nodeCount - 1 : nodeCount))
      for from in 0..<nodeCount {
        for to in 0..<nodeCount where from != to || nodeCount == 5 {
          let rate = try #require(survey.bytesPerSecond(from, to), "\(from) to \(to): \(survey.outcomes[from][to])")
          shares[from][to] = Self.closer(shares[from][to], rate / rates[from])
        }
      }
      let links = survey.document(.init(name: "test", source: "test", time: "2026-01-01T00:00:00Z"))
      #expect(links.inside.count == (nodeCount == 5 ? 5 : 0))
      // What is written is read again as it was.
      let text = links.json.text(style: .pretty)
      #expect(try MeasuredLinks(parse(Array(text.utf8), source: "test")) == links)
    }
    #expect(Self.areRight(shares, diagonal: nodeCount == 5), "\(shares)")
  }

  private static func areRight(_ shares: [[Double]], diagonal: Bool) -> Bool {
    shares.enumerated().allSatisfy { from, row in
      row.enumerated().allSatisfy { to, share in abs(share - 1) < 0.05 || from == to && !diagonal }
    }
  }

  /// Of two shares the one that is nearer to 1.
  private static func closer(_ left: Double, _ right: Double) -> Double {
    abs(left - 1) <= abs(right - 1) ? left : right
  }

  @Test func oneLinkAtATimeMeasuresTheSame() throws {
    var run = LocalRun(nodeCount: 3, settings: try Self.settings(), bytesPerSecond: [1e6, 1.5e6, 2e6])
    run.isLoaded = false
    var shares = [0.0, 0, 0]
    try Self.measuring(until: { shares.allSatisfy { abs($0 - 1) <= 0.05 } }) {
      let (survey, _) = try run.survey()
      #expect(survey.isComplete && survey.roundCount == 3)
      #expect(survey.document(.init(name: "t", source: "t", time: "t")).snapshots[0].load == .idle)
      for from in 0..<3 {
        let rate = try #require(survey.bytesPerSecond(from, (from + 1) % 3))
        shares[from] = Self.closer(shares[from], rate / [1e6, 1.5e6, 2e6][from])
      }
    }
    #expect(shares.allSatisfy { abs($0 - 1) <= 0.05 }, "\(shares)")
  }

  @Test func streamsShareAMessage() throws {
    let settings = try ProbeSettings(
      messageBytes: [65_536], streamCounts: [1, 3], warmUpCount: 2, leastSampleCount: 5, slotSeconds: 0.05)
    var isRight = false
    try Self.measuring(until: { isRight }) {
      let (survey, _) = try LocalRun(nodeCount: 2, settings: settings, bytesPerSecond: [2e6, 2e6]).survey()
      guard case .measured(let measured) = survey.outcomes[0][1] else { throw LinkRunError.interrupted }
      #expect(measured.sizes.map(\.streamCount) == [1, 3])
      // The limit is one of each stream.
      isRight =
        measured.sizes[0].bytesPerSecond < 2.1e6 && (2.1e6..<6.6e6).contains(measured.sizes[1].bytesPerSecond)
        && measured.best?.streamCount == 3
    }
    #expect(isRight)
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

  @Test func aSampledRunSaysWhatItInferred() throws {
    var run = LocalRun(nodeCount: 6, settings: try Self.settings(), bytesPerSecond: (0..<6).map { _ in 1.5e6 })
    run.sampledRoundCount = 2
    var rates: [Double] = []
    func areRight() -> Bool { rates.allSatisfy { (0.4e6..<1.6e6).contains($0) } }
    try Self.measuring(until: areRight) {
      rates = []
      let survey = try run.survey().survey
      #expect(survey.isComplete && survey.roundCount == 2)
      let links = survey.document(
        .init(name: "t", source: "t", time: "t"), inferringFromBlocks: survey.blocks(nodesPerRack: 3))
      let snapshot = links.snapshots[0]
      var inferredCount = 0
      for from in 0..<6 {
        for to in 0..<6 where from != to {
          rates.append(try #require(snapshot.bytesPerSecond[from][to]))
          let origin = try #require(snapshot.originIndex?[from][to])
          if links.origins[origin].trust == .inferred {
            inferredCount += 1
            #expect(snapshot.sampleCount?[from][to] == nil)
          }
        }
      }
      #expect(inferredCount == 30 - 12)
      #expect(LinkCoordinator.known(in: links).count == 12)
    }
    #expect(areRight(), "\(rates)")
  }

  @Test func anInterruptedRunKeepsWhatItHas() throws {
    let start = ContinuousClock.now
    let run = LocalRun(nodeCount: 6, settings: try Self.settings(), bytesPerSecond: (0..<6).map { _ in 2e6 })
    let (survey, _) = try run.survey(isInterrupted: { (ContinuousClock.now - start).inSeconds > 1 })
    #expect(survey.wasInterrupted && !survey.isComplete)
    #expect(survey.nodes.allSatisfy { $0.failure == nil })
  }
}
