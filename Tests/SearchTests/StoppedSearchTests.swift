import Costing
import Documents
import Synchronization
import TestSupport
import Testing

@testable import Search

/// Searches that are stopped from outside, wherever they are.
@Suite struct StoppedSearchTests {
  /// Answers nil so many times, then always that the user wants it to end.
  private final class Asked: Sendable {
    private let count = Atomic(0)
    let limit: Int

    init(limit: Int) { self.limit = limit }

    func next() -> PlanSearch.Interruption? {
      count.wrappingAdd(1, ordering: .relaxed).oldValue < limit ? nil : .user
    }
    /// How often it was asked after its first answer.
    var askedInVain: Int { max(0, count.load(ordering: .relaxed) - limit - 1) }
    var total: Int { count.load(ordering: .relaxed) }
  }

  /// Searches in whose steps other things are done: choosing stages, measured links with rings, orders of devices, none
  /// that fits.
  static let clusters = ["a100-hdr-16", "v100-edr-16", "mixed", "dgx-a100-1"]

  private func search(_ cluster: String) throws -> PlanSearch {
    let isSmall = cluster == "dgx-a100-1"
    let mixed = try ClusterDescription(
      name: "mixed", devices: [Shipped.catalog.device("h100-sxm5-80gb"), Shipped.catalog.device("a100-sxm4-40gb")],
      deviceOfNode: [0, 0, 1, 1], nodeNames: ["a", "b", "c", "d"], devicesPerNode: 8,
      levels: [
        .init(name: "nvlink", span: 8, bytesPerSecond: 300e9),
        .init(name: "ib", span: 32, bytesPerSecond: 25e9, sharedBytesPerSecond: 100e9),
      ])
    return PlanSearch(
      model: try CostModel(
        cluster: cluster == "mixed" ? mixed : Shipped.catalog.cluster(cluster),
        job: TrainingJob(
          model: Shipped.catalog.model(isSmall ? "megatron-1t" : "llama-2-7b"), sequenceLength: 1_024, globalBatch: 64,
          precision: cluster.hasPrefix("v100") ? .fp16 : .bf16)),
      pattern: try StrategyPattern(text: isSmall ? "" : "tensor=4", source: "fixed"),
      options: .init(resultCount: 3, margin: 0.01))
  }

  @Test(arguments: clusters) func aStopAnywhereLeavesTheBestSoFarAndCanBeRepeated(_ cluster: String) throws {
    let search = try search(cluster)
    let never = Asked(limit: .max)
    let whole = search.run(interruption: never.next)
    // Long steps are asked within: there are many more questions than steps.
    #expect(never.total > 100)
    var limit = 0, scores: [Double] = []
    while limit < never.total {
      let asked = Asked(limit: limit)
      let result = search.run(interruption: asked.next)
      #expect(result.certificate.stoppedAfter != nil && asked.askedInVain < 8, "\(limit)")
      if let best = whole.best.first {
        let score = try #require(result.best.first?.scoreSeconds, "\(limit)")
        scores.append(score)
        #expect(result.certificate.lowerBoundSeconds <= best.scoreSeconds * (1 + 1e-12))
        let plan = try #require(search.plan(of: result, toolVersion: "0.0.0"))
        #expect(try PlanVerification(plan).disagreements == [], "\(limit)")
      } else {
        #expect(result.best.isEmpty && result.shortage == nil)
      }
      limit += 1 + limit / 3 + never.total / 60
    }
    if let best = whole.best.first, let last = scores.last {
      #expect(scores.count >= 8)
      // The first answer is one that somebody could use, and the last, stopped while nothing was left to find, the best.
      #expect(scores[0] < 3 * best.scoreSeconds, "\(scores[0]) against \(best.scoreSeconds)")
      #expect(last <= best.scoreSeconds * 1.02)
    }
  }

  @Test func anAnswerWithoutAnyCompletionSaysSo() throws {
    let search = try search("a100-hdr-16")
    let result = search.run(interruption: { .timeLimit })
    let certificate = result.certificate
    #expect(certificate.completedCount == 0 && certificate.ending == .timeLimit && certificate.stoppedAfter == 0)
    // Nothing is proven where not even the lattice was priced.
    #expect(certificate.lowerBoundSeconds == 0 && certificate.gap == 1)
    #expect(result.families.isEmpty && result.fastest == nil)
  }

  /// All orders but the first are priced at once: soon after the first answer there is a bound of all of them.
  @Test func answersOfSeveralOrdersImproveAndAreBounded() throws {
    let search = try search("mixed")
    let whole = search.run()
    let best = try #require(whole.fastest ?? whole.best.first).scoreSeconds
    var scores: [Double] = [], bounded = 0, unbounded = 0
    for stop in 1... {
      let result = PlanSearch(
        model: search.model, pattern: search.pattern,
        options: .init(resultCount: 3, repeatedStop: (stop, .timeLimit))
      ).run()
      guard result.certificate.stoppedAfter != nil else { break }
      scores.append(try #require(result.best.first).scoreSeconds)
      if result.certificate.completedCount == 0 { continue }
      if result.certificate.lowerBoundSeconds > 0 { bounded += 1 } else { unbounded += 1 }
      #expect(result.certificate.lowerBoundSeconds <= best && best <= scores[scores.count - 1])
    }
    #expect(zip(scores, scores.dropFirst()).allSatisfy { $0 >= $1 }, "\(scores)")
    #expect(bounded > 1 && unbounded > 1 && scores.last == best, "\(bounded), \(unbounded)")
  }

  /// Splits of so many layers take long: a search is stopped in the middle of one as well.
  @Test func aStopAmongManyLayersLeavesTheBestSoFarAndABound() throws {
    let layerCount = 2_048, stageCount = 64
    let deep = try ModelDescription(
      name: "deep", family: .gpt, layerCount: layerCount, hiddenSize: 256, headCount: 4, keyValueHeadCount: 4,
      feedForwardSize: 1_024, vocabularySize: 51_200, hasGatedFeedForward: false, hasTiedEmbeddings: true)
    let model = try CostModel(
      cluster: Shipped.catalog.cluster("dgx-a100-8"),
      job: TrainingJob(model: deep, sequenceLength: 1_024, globalBatch: 128))
    let pattern = try StrategyPattern(
      text: "tensor=1,pipeline=\(stageCount),micro_batch=1,virtual_stages=1", source: "fixed")
    func search(_ stop: (stepCount: Int, interruption: PlanSearch.Interruption)? = nil) -> PlanSearch {
      PlanSearch(model: model, pattern: pattern, options: .init(repeatedStop: stop))
    }
    let never = Asked(limit: .max)
    let whole = search().run(interruption: never.next)
    let best = try #require(whole.best.first)
    #expect(best.split.layerCounts.max().map { stageCount * layerCount * $0 } ?? 0 < LayerSplitter.deepSize)
    #expect(stageCount * layerCount * (layerCount - stageCount) > LayerSplitter.deepSize)
    var ends: Set<Int> = [], bounded = 0, completed = 0
    for tenths in 1...9 {
      let asked = Asked(limit: never.total * tenths / 10)
      let result = search().run(interruption: asked.next)
      let certificate = result.certificate
      let count = try #require(certificate.stoppedAfter)
      #expect(asked.askedInVain < 8, "\(tenths)")
      let score = try #require(result.best.first).scoreSeconds
      #expect(certificate.lowerBoundSeconds <= best.scoreSeconds && best.scoreSeconds <= score, "\(tenths)")
      if certificate.lowerBoundSeconds > 0 { bounded += 1 }
      if certificate.completedCount > 0 { completed += 1 }
      guard ends.insert(count).inserted else { continue }
      let again = search((count, .user)).run()
      #expect(again.best == result.best && again.certificate == certificate, "\(tenths)")
    }
    #expect(ends.count > 1 && bounded > 1 && completed > 1, "\(ends), \(bounded), \(completed)")
  }

  @Test func whatIsFoundInOneOrderIsToBeBeatenInTheNext() throws {
    // The same answers as of orders that know nothing of each other, with fewer strategies completed.
    let search = try search("mixed")
    let result = search.run()
    var alone: [PlanSearch.Completion] = []
    var completedCount = 0
    for order in search.deviceOrders(of: search.model) {
      var steps = SearchSteps(interruption: { nil })
      var walked = try OrderedSearch.priced(search, models: [order])[0]
      walked.walk(below: .infinity, steps: &steps) { _, _ in }
      alone += walked.main.best
      completedCount += walked.main.completedCount
    }
    let best = Array(alone.stablySorted(by: \.scoreSeconds).prefix(1))
    #expect([result.fastest ?? result.best[0]] == best)
    #expect(result.certificate.completedCount < completedCount)
  }
}
