import Documents
import Testing

@testable import Launch

/// What every target writes of a plan is read back as that plan, and the framework's own order of ranks makes of it the
/// plan's groups.
@Suite struct RoundTripTests {
  static let targets: [any LaunchTarget.Type] = [
    DeepSpeedTarget.self, TorchtitanTarget.self, TorchtitanMainTarget.self, TorchtitanTablesTarget.self,
    NanotronTarget.self,
  ]

  @Test(arguments: targets.indices)
  func hundredsOfPlansComeBackAsTheyWere(index: Int) throws {
    let target = Self.targets[index]
    var refused = 0
    for seed in 0..<300 {
      let offered = try OfferedPlan(seed: 1_000 * index + seed, for: target.capabilities)
      let plan = offered.plan
      let command: RankCommand
      do {
        command = try target.program(of: plan)
      } catch {
        // Of what the capabilities offer, only the model's details may be refused.
        #expect(error.description.contains("nearest"), "\(offered)")
        refused += 1
        continue
      }
      let run = try target.configuration(in: command.files, deviceCount: plan.strategy.worldSize)
      #expect(run.strategy == plan.strategy, "\(target.name) \(offered)")
      #expect(run.globalBatch == plan.job.globalBatch, "\(offered)")
      #expect(run.precision == plan.job.precision, "\(offered)")
      #expect(run.accumulatesGradientsInFP32 == plan.job.accumulatesGradientsInFP32, "\(offered)")
      let optimizer = run.optimizer ?? .adam
      if target == DeepSpeedTarget.self {
        // The script brings the rule.
        #expect(optimizer.masterWeights == plan.job.optimizer.masterWeights, "\(offered)")
      } else {
        #expect(optimizer == plan.job.optimizer, "\(target.name) \(offered)")
      }
      if let counts = run.layerCounts { #expect(counts == plan.split.layerCounts, "\(offered)") }
      if let length = run.sequenceLength { #expect(length == plan.job.sequenceLength, "\(offered)") }
      if let model = run.model { expect(model, is: plan.job.model, "\(offered)") }

      let groups = target.groups(of: run)
      for axis in Mesh.searchedAxes + (plan.strategy.contextDegree > 1 ? [.context] : []) {
        #expect(
          groups[axis.name] == plan.strategy.mesh.groups(along: axis).map(\.ranks),
          "\(target.name) \(axis.name) \(offered)")
      }
    }
    #expect(refused < 200, "\(target.name)")
  }

  /// Everything of a model that a file states.
  private func expect(_ model: ModelDescription, is planned: ModelDescription, _ comment: Comment) {
    #expect(model.parameterCount == planned.parameterCount, comment)
    #expect(model.headCount == planned.headCount && model.keyValueHeadCount == planned.keyValueHeadCount, comment)
    #expect(model.headSize == planned.headSize && model.hiddenSize == planned.hiddenSize, comment)
    #expect(model.feedForwardSize == planned.feedForwardSize, comment)
    #expect(model.vocabularySize == planned.vocabularySize, comment)
    #expect(model.hasTiedEmbeddings == planned.hasTiedEmbeddings, comment)
    #expect(model.hasQueryKeyValueBias == planned.hasQueryKeyValueBias, comment)
    #expect(model.hasQueryKeyNorm == planned.hasQueryKeyNorm, comment)
    #expect(model.details.normEpsilon == planned.details.normEpsilon, comment)
    #expect(model.details.rotaryBase == planned.details.rotaryBase, comment)
    #expect(model.details.rotaryScaling == planned.details.rotaryScaling, comment)
    #expect(model.activation == planned.activation, comment)
  }

  @Test func sizesThatAFileDoesNotStateComeFromItsBatch() throws {
    let offered = try OfferedPlan(seed: 5, for: .deepSpeed)
    let files = try DeepSpeedTarget.program(of: offered.plan).files
    if offered.plan.strategy.tensorDegree == 1 {
      #expect(try DeepSpeedTarget.configuration(in: files, deviceCount: nil).strategy == offered.plan.strategy)
    }
  }
}
