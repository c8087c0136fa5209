import Costing
import Documents
import JSONText
import TestSupport
import Testing

@testable import Search

@Suite("What is fixed of a strategy is so in every point of the lattice")
struct LatticeTests {
  let model: CostModel

  init() throws {
    let job = try TrainingJob(
      model: Shipped.catalog.model("gpt2"), sequenceLength: 1024, globalBatch: 64, precision: .bf16,
      accumulatesGradientsInFP32: true)
    model = try CostModel(cluster: Shipped.catalog.cluster("dgx-a100-4"), job: job)
  }

  private func strategies(_ pattern: StrategyPattern, of other: CostModel? = nil) -> [Strategy] {
    let lattice = Lattice(
      model: other ?? model, pattern: pattern,
      allowance: Allowance(quantisationTolerance: 0.5, zerothOrder: true, outerPeriods: 1...8))
    return lattice.meshes.flatMap { lattice.branch($0).branch.points.map(\.strategy) }
  }

  /// Some values of a key, as `--fix` has them.
  private func values(_ key: StrategyKey) -> [String] {
    switch key.values {
    case .integers(let range): [range.lowerBound, range.lowerBound + 1].map(String.init)
    case .booleans: ["false", "true"]
    case .flagOrCount: ["false", "true", "3"]
    case .sets(let names): [names[0], "\(names[0])+\(names[4])"]
    case .choices(let choices): choices.map { $0.text(style: .compact).filter { $0 != "\"" } }
    }
  }

  @Test func everyPointMatches() throws {
    let job = try TrainingJob(
      model: Shipped.catalog.model("mixtral-8x7b"), sequenceLength: 1_024, globalBatch: 64)
    let mixture = try CostModel(cluster: Shipped.catalog.cluster("dgx-a100-4"), job: job)
    let narrow = try CostModel(
      cluster: Shipped.catalog.cluster("dgx-h100-1"),
      job: TrainingJob(
        model: Shipped.catalog.model("llama-3-8b"), sequenceLength: 1_024, globalBatch: 64, precision: .fp8Current))
    for key in Strategy.keys where key.isHeld {
      for value in values(key) {
        // Zeroth-order training brings its schedule along, and no word states it alone.
        if value == "forward-only" { continue }
        let pattern = try StrategyPattern(text: "\(key.name)=\(value)", source: "--fix")
        // A model without experts has none to divide.
        let isOfExperts = key.name.hasPrefix("expert") || key.name.hasPrefix("moe_")
        // Weights lie in the format of products where that is narrower.
        let own = key.name == "narrow_weights" ? narrow : isOfExperts ? mixture : nil
        let fixed = strategies(pattern, of: own)
        #expect(!fixed.isEmpty && fixed.allSatisfy(pattern.matches), "\(key.name)=\(value)")
      }
    }
  }

  /// Fixing a part that the lattice walks leaves out what does not match, and nothing else.
  @Test(arguments: [
    "tensor=2", "pipeline=4", "data=8", "virtual_stages=3", "micro_batch=2", "sequence_parallel=true", "worker=2",
  ])
  func fixingIsChoosing(fix: String) throws {
    let pattern = try StrategyPattern(text: fix, source: "--fix")
    #expect(strategies(pattern) == strategies(StrategyPattern()).filter(pattern.matches))
  }
}
