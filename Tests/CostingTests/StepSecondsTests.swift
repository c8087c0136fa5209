import Documents
import Testing
import Training

@testable import Costing

/// Seconds step by step, against those of whole passes.
@Suite struct StepSecondsTests {
  private static let accumulating = {
    var framework = Fixture.framework(tensorRateFraction: 0.7)
    framework.tensorOverlapFraction = 0.4
    framework.tensorCollectiveSeconds = 3e-6
    framework.gradientAccumulationFactor = 1.2
    return framework
  }()

  private static func computes(_ step: Recipe.Step) -> Bool { if case .piece = step { true } else { false } }

  @Test(arguments: [(1, false), (4, false), (4, true)], [Strategy.Recompute.none, .selective, .full])
  func stepsAddUpToTheirPass(tensor: (degree: Int, isSequenceParallel: Bool), recompute: Strategy.Recompute) throws {
    let cluster = try Fixture.node(of: 8, device: Fixture.device(framework: Self.accumulating))
    let model = try CostModel(cluster: cluster, job: Fixture.job(Fixture.gpt()))
    let strategy = Strategy(
      mesh: [.tensor: tensor.degree, .data: 8 / tensor.degree], recompute: recompute,
      usesSequenceParallelism: tensor.isSequenceParallel, usesFlashAttention: false)
    let layout = model.layoutCost(strategy.mesh)
    let cost = model.microBatchCosts(layout: layout, [MicroBatchKey(strategy)])[0][0]
    let steps = model.stepSeconds(of: strategy, layout: layout)[0]
    func sum(_ part: Recipe.Part, _ pass: Recipe.Pass, computing: Bool) -> Double {
      steps.steps(part, pass).reduce(0) { Self.computes($1.step) == computing ? $0 + $1.seconds : $0 }
    }
    for (part, passes) in [
      (Recipe.Part.embedding, cost.embedding), (.block, cost.layer), (.head, cost.head),
    ] {
      let repeated = [Recipe.Pass.recompute, .backward]
      let backward = passes.backwardComputeSeconds + passes.recomputeSeconds
      #expect(agrees(sum(part, .forward, computing: true), passes.forwardComputeSeconds, relative: 1e-12))
      #expect(agrees(sum(part, .forward, computing: false), passes.forwardTensorSeconds, relative: 1e-12))
      #expect(
        agrees(repeated.reduce(0) { $0 + sum(part, $1, computing: true) }, backward, relative: 1e-12), "\(part)")
      #expect(
        agrees(
          repeated.reduce(0) { $0 + sum(part, $1, computing: false) }, passes.backwardTensorSeconds, relative: 1e-12),
        "\(part)")
    }
    // Programs run a pass of their own under full recomputation only.
    #expect(steps.steps(.block, .recompute).isEmpty == (recompute != .full))
  }

  /// The exchanges of single modules that are run again take what they add to a layer's backward pass.
  @Test(arguments: [(1, false), (4, false), (4, true)])
  func stepsOfModulesAddUpToWhatTheyAdd(tensor: (degree: Int, isSequenceParallel: Bool)) throws {
    let cluster = try Fixture.node(of: 8, device: Fixture.device(framework: Self.accumulating))
    let model = try CostModel(cluster: cluster, job: Fixture.job(Fixture.gpt()))
    var strategy = Strategy(
      mesh: [.tensor: tensor.degree, .data: 8 / tensor.degree], recompute: .selective,
      usesSequenceParallelism: tensor.isSequenceParallel, usesFlashAttention: false)
    strategy.recomputeModules = .feedForward
    let layout = model.layoutCost(strategy.mesh)
    let cost = model.microBatchCosts(layout: layout, [MicroBatchKey(strategy)])[0][0]
    let again = model.stepSeconds(of: strategy, layout: layout)[0].steps(.block, .recompute)
    func sum(computing: Bool) -> Double {
      again.reduce(0) { Self.computes($1.step) == computing ? $0 + $1.seconds : $0 }
    }
    #expect(agrees(sum(computing: true), cost.layer.recomputeSeconds, relative: 1e-12))
    let added = cost.layer.backwardTensorSeconds - cost.keptLayers.dense.backwardTensorSeconds
    #expect(agrees(sum(computing: false), added, relative: 1e-12))
    #expect(tensor.degree == 1 ? added == 0 : added > 0 && added < 0.6 * cost.layer.forwardTensorSeconds)
  }
}
