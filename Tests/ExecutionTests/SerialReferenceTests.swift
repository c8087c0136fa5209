import Documents
import Testing

@testable import Execution

@Suite struct SerialReferenceTests {
  @Test(arguments: try SmallModels.all())
  func microBatchesOfAnySizeAreTheSameTraining(model: ModelDescription) {
    let results = [1, 2, 4].map { Self.reference(model, microBatch: $0).run(stepCount: 3) }
    for result in results.dropFirst() {
      for (step, expected) in zip(result.steps, results[0].steps) {
        #expect(abs(step.loss - expected.loss) < 1e-6 * expected.loss)
        #expect(abs(step.gradientNorm - expected.gradientNorm) < 1e-5 * expected.gradientNorm)
      }
      for (part, values) in results[0].parameters {
        #expect(ParameterComparison.relativeError(result.parameters[part] ?? [], reference: values) < 1e-5)
      }
    }
  }

  @Test func aRunIsRepeatedBitForBit() throws {
    let runs = try (0..<2).map { _ in Self.reference(try SmallModels.gpt(), microBatch: 2).run(stepCount: 2) }
    #expect(runs[0].parameters == runs[1].parameters)
    #expect(runs[0].steps.map(\.loss) == runs[1].steps.map(\.loss))
  }

  /// A model that sees the same few tokens learns them: the sign of every update is right.
  @Test(arguments: [OptimizerSettings.Rule.sgd, .adam()])
  func lossFallsWhenTheDataStaysTheSame(rule: OptimizerSettings.Rule) throws {
    let model = try SmallModels.gpt(dropout: false)
    let serial = Self.reference(model, microBatch: 2)
    let settings = OptimizerSettings(rule: rule, learningRate: rule == .sgd ? 0.3 : 0.01, clippingNorm: nil)
    var states = serial.layouts.map { OptimizerState(masters: $0.initialValues(seed: 7), settings: settings) }
    var losses: [Double] = []
    for step in 0..<30 {
      var gradients = serial.layouts.map { [Float](repeating: 0, count: $0.count) }
      let batch = MicroBatch(step: 0, sequences: [0, 1, 2, 3])
      losses.append(serial.pass(batch, weights: states.map(\.masters), gradients: &gradients) / 32)
      for part in states.indices {
        states[part].update(gradient: gradients[part][...], scale: 1, step: step, settings: settings)
      }
    }
    #expect(losses[29] < 0.6 * losses[0])
  }

  @Test func emulatedPrecisionStaysNearAndIsNotTheSame() throws {
    let model = try SmallModels.llama()
    let exact = Self.reference(model, microBatch: 2).run(stepCount: 2)
    for (arithmetic, tolerance) in [(Precision.bf16, 0x1p-7), (.fp16, 0x1p-9)] {
      let rounded = Self.reference(model, microBatch: 2, arithmetic: arithmetic).run(stepCount: 2)
      for (step, expected) in zip(rounded.steps, exact.steps) {
        #expect(step.loss != expected.loss)
        #expect(abs(step.loss - expected.loss) < tolerance * expected.loss)
        #expect(abs(step.gradientNorm - expected.gradientNorm) < 4 * tolerance * expected.gradientNorm)
      }
    }
  }

  private static func reference(
    _ model: ModelDescription, microBatch: Int, arithmetic: Precision = .fp32
  ) -> SerialReference {
    let shard = ModelShard(
      model: model, sequenceLength: 8, paddedVocabularySize: 16, seed: 7, arithmetic: arithmetic)
    return SerialReference(
      shard: shard, globalBatch: 4, microBatch: microBatch, settings: OptimizerSettings(clippingNorm: 0.5))
  }
}
