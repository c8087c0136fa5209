import Costing
import Documents
import JSONText
import Search
import TestSupport
import Testing

/// Measured links that are not what one would wish: each is refused in one line, or has a fallback that can be seen.
@Suite struct LinkInputTests {
  private static let names = ["node-0", "node-1", "node-2", "node-3"]

  private func links(_ rates: [[Double?]], names: [String] = names) -> JSON {
    .object([
      JSONMember("schema", .string("sextant.links/1")), JSONMember("name", .string("four")),
      JSONMember("engine", .string("synthetic")), JSONMember("source", .string("made for a test")),
      JSONMember("nodes", .array(names.map(JSON.string))),
      JSONMember(
        "snapshots",
        .array([
          .object([
            JSONMember("name", .string("once")),
            JSONMember("bytes_per_second", .array(rates.map { .array($0.map { $0.map(JSON.number) ?? .null }) })),
          ])
        ])),
    ])
  }

  private func cluster(_ links: JSON) throws -> ClusterDescription {
    let base = try Shipped.catalog.cluster("dgx-a100-4").json
    guard case .object(let members) = base else { throw TestFailure() }
    let named = members.filter { $0.key != "measured" }.map { member in
      member.key == "nodes" ? JSONMember("nodes", .array(Self.names.map(JSON.string))) : member
    }
    return try ClusterDescription(
      Field(.object(named + [JSONMember("measured", links)]), source: "cluster"), catalog: Catalog(root: nil),
      folder: ".")
  }

  private func model(_ links: JSON) throws -> CostModel {
    try CostModel(
      cluster: cluster(links),
      job: TrainingJob(model: Shipped.catalog.model("gpt2"), sequenceLength: 512, globalBatch: 32))
  }

  private func uniform(_ rate: Double?) -> [[Double?]] {
    (0..<4).map { row in (0..<4).map { $0 == row ? nil : rate } }
  }

  private func refusal(_ links: JSON) -> String {
    do {
      _ = try cluster(links)
      return "accepted"
    } catch {
      return "\(error)"
    }
  }

  @Test(arguments: [0, -1, -24e9, 1e-300, 1e300])
  func aRateThatIsNoneIsRefusedWithItsPlace(rate: Double) {
    var rates = uniform(12e9)
    rates[1][2] = rate
    let text = refusal(links(rates))
    #expect(text.contains("/measured/snapshots/0/bytes_per_second/1/2"), "\(text)")
    #expect(!text.contains("\n"))
  }

  @Test func aMatrixOfAnotherSizeIsRefused() {
    var short = uniform(12e9)
    short[3].removeLast()
    #expect(refusal(links(short)).contains("/bytes_per_second/3"))
    #expect(refusal(links(Array(uniform(12e9).prefix(3)))).contains("/bytes_per_second"))
  }

  @Test func nodesWithoutMeasurementAreNamedAndOthersThanTheClustersAreLeftOut() throws {
    let text = refusal(links(uniform(12e9), names: ["node-0", "node-1", "node-2", "elsewhere"]))
    #expect(text.contains("node-3"), "\(text)")
    #expect(!text.contains("\n"))
    // A fifth node that the cluster does not have, slow as it is, changes nothing.
    let more = (0..<5).map { row in (0..<5).map { $0 == row ? nil : (row == 0 || $0 == 0 ? 1e9 : 12e9) } }
    let model = try model(links(more, names: ["elsewhere"] + Self.names))
    let own = try self.model(links(uniform(12e9)))
    #expect(model.cluster.measured?.nodeNames == Self.names)
    #expect(PlanSearch(model: model).run().best == PlanSearch(model: own).run().best)
  }

  @Test("Links that differ by direction are priced by direction, and the plan holds")
  func asymmetric() throws {
    var rates = uniform(12e9)
    // A ring forwards is fast, backwards slow.
    for node in 0..<4 { rates[(node + 1) % 4][node] = 3e9 }
    let model = try model(links(rates))
    var pattern = StrategyPattern()
    (pattern.tensorDegree, pattern.pipelineDegree, pattern.dataDegree) = (1, 1, 32)
    let search = PlanSearch(model: model, pattern: pattern)
    let found = search.run()
    let plan = try #require(search.plan(of: found, toolVersion: "test"))
    #expect(try PlanVerification(plan).disagreements.isEmpty)
    var scratch = EvaluationScratch()
    func seconds(_ order: [Int]) throws -> Double {
      let best = try #require(found.best.first)
      return model.arranged(order).cost(of: best.strategy).iterationSeconds(
        of: best.split, scratch: &scratch)
    }
    #expect(try seconds([3, 2, 1, 0]) > seconds([0, 1, 2, 3]))
    #expect(try seconds(plan.arrangement.nodeOrder) <= seconds([0, 1, 2, 3]))
  }

  @Test("Pairs without a measurement have the nominal rate, even where they part the cluster in two")
  func disconnected() throws {
    let nominal = try #require(Shipped.catalog.cluster("dgx-a100-4").levels.last?.bytesPerSecond)
    var parted = uniform(nominal / 2)
    var filled = parted
    for (node, other) in [(0, 2), (0, 3), (1, 2), (1, 3)] {
      (parted[node][other], parted[other][node]) = (nil, nil)
      (filled[node][other], filled[other][node]) = (nominal, nominal)
    }
    let model = try model(links(parted))
    let search = PlanSearch(model: model)
    let found = search.run()
    let plan = try #require(search.plan(of: found, toolVersion: "test"))
    #expect(try PlanVerification(plan).disagreements.isEmpty)
    let same = try self.model(links(filled))
    var scratch = EvaluationScratch()
    for completion in found.best where completion.split.choices == nil {
      let times = [model, same].map {
        $0.arranged(completion.nodeOrder).cost(of: completion.strategy).iterationSeconds(
          of: completion.split, scratch: &scratch)
      }
      #expect(abs(times[0] - times[1]) <= 1e-6 * times[0], "\(completion.strategy.text)")
    }
  }

  @Test("Without any measured pair nodes keep their order")
  func nothingMeasured() throws {
    let model = try model(links(uniform(nil)))
    let found = PlanSearch(model: model).run()
    #expect(found.arrangement?.nodeOrder == [0, 1, 2, 3])
    #expect(found.arrangement?.reason != .searched)
  }

  @Test("Rates a thousand times apart leave every time finite, and the bound below it")
  func absurdlyUneven() throws {
    var rates = uniform(12e9)
    (rates[0][1], rates[1][0], rates[2][3]) = (1, 1e15, 1e3)
    let found = try PlanSearch(model: model(links(rates))).run()
    let best = try #require(found.best.first)
    #expect(best.scoreSeconds.isFinite && best.scoreSeconds > 0)
    #expect(found.certificate.lowerBoundSeconds <= best.scoreSeconds)
  }

  @Test("Limits of nothing end a search at once, and it says so")
  func limitsOfNothing() throws {
    let model = try model(links(uniform(12e9)))
    let none = PlanSearch(model: model, options: .init(completionLimit: 0)).run()
    #expect(none.best.isEmpty && none.certificate.ending == .completionLimit)
    #expect(none.certificate.completedCount == 0 && none.certificate.proofs.isEmpty)
    // No results asked for, and no threads, are one of each.
    let one = PlanSearch(model: model, options: .init(resultCount: 0, threadCount: 0)).run()
    #expect(one.best == PlanSearch(model: model, options: .init(resultCount: 1)).run().best)
    #expect(one.best.count == 1)
  }

  private struct TestFailure: Error {}
}
