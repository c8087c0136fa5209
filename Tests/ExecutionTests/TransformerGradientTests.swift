import Documents
import Testing
import Training

@testable import Execution

/// Forward and backward in fp32 against a model in double precision that shares no arithmetic with it: losses directly,
/// gradients by central differences of the double-precision loss, whose own error is below 1e-7.
@Suite struct TransformerGradientTests {
  static let microBatch = MicroBatch(step: 3, sequences: [5, 2])

  @Test(arguments: try SmallModels.all() + SmallModels.mixtures() + SmallModels.predicting(), [false, true])
  func lossAndGradientsAreThoseOfTheDefinition(model: ModelDescription, flash: Bool) {
    Self.check(
      ModelShard(
        model: model, sequenceLength: 4, usesFlashAttention: flash, paddedVocabularySize: model.vocabularySize + 3,
        seed: 7), Self.microBatch)
  }

  /// Of 6 tokens, two experts of each among four, three quarters are not dropped, or a third.
  @Test(arguments: SmallModels.expertKinds, [0.75, 0.34])
  func droppedTokensAreThoseOfTheDefinition(kind: SmallModels.ExpertKind, factor: Double) throws {
    let model = try SmallModels.mixture(kind)
    Self.check(
      ModelShard(
        model: model, sequenceLength: 6, paddedVocabularySize: model.vocabularySize, seed: 7,
        expertCapacity: ExpertCapacity(factor: factor)), MicroBatch(step: 3, sequences: [5]))
  }

  private static func check(_ shard: ModelShard, _ microBatch: MicroBatch) {
    let model = shard.model
    let serial = SerialReference(
      shard: shard, globalBatch: microBatch.sequences.count, microBatch: microBatch.sequences.count, settings: .init())
    // Tokens over which the loss is the mean.
    let count = Double(shard.sequenceLength * microBatch.sequences.count)
    let weights = serial.layouts.map { $0.initialValues(seed: 7) }
    var gradients = serial.layouts.map { [Float](repeating: 0, count: $0.count) }
    let loss = serial.pass(microBatch, weights: weights, gradients: &gradients)
    var exact = DoublePrecisionTransformer(shard: shard, ownsOutputMatrix: !model.hasTiedEmbeddings)
    let expected = exact.loss(microBatch)
    #expect(abs(loss - expected) < 1e-6 * expected)

    var generator = CounterHash(seed: 1)
    for (layout, gradient) in zip(serial.layouts, gradients) {
      for tensor in layout.tensors {
        let largest = gradient[tensor.range].reduce(0) { max($0, abs($1)) }
        generator = generator.appending(0)
        let index = generator.integer(below: tensor.range.count)
        let one = Self.slope(&exact, layout.part, tensor.name, index, microBatch) / count
        let error = abs(Double(gradient[tensor.offset + index]) - one)
        #expect(
          error < 1e-5 * Double(largest) + 1e-7,
          "\(layout.part) \(tensor.name)[\(index)]: \(gradient[tensor.offset + index]) for \(one)")
        // All elements at once: along the gradient's own direction the slope is its norm.
        if largest > 1e-6 {
          let square = gradient[tensor.range].reduce(0.0) { $0 + Double($1) * Double($1) }
          let slope =
            Self.slope(
              &exact, layout.part, tensor.name, along: gradient[tensor.range].map(Double.init), microBatch) / count
          #expect(abs(slope - square.squareRoot()) < 1e-5 * square.squareRoot(), "\(layout.part) \(tensor.name)")
        }
      }
    }
  }

  /// What is predicted one token too near or too far, or from one, is another loss by far more than rounding.
  @Test(arguments: try SmallModels.predicting(), [(-1, 0), (1, 0), (0, -1), (0, 1)])
  func aShiftThatIsOffByOneIsSeen(model: ModelDescription, mistakes: (lookedUp: Int, predicted: Int)) {
    let shard = ModelShard(model: model, sequenceLength: 6, seed: 7)
    let serial = SerialReference(shard: shard, globalBatch: 2, microBatch: 2, settings: .init())
    let weights = serial.layouts.map { $0.initialValues(seed: 7) }
    var gradients = serial.layouts.map { [Float](repeating: 0, count: $0.count) }
    let loss = serial.pass(Self.microBatch, weights: weights, gradients: &gradients)
    var exact = DoublePrecisionTransformer(shard: shard, ownsOutputMatrix: !model.hasTiedEmbeddings)
    let right = exact.loss(Self.microBatch)
    exact.mistakes = mistakes
    let wrong = exact.loss(Self.microBatch)
    #expect(abs(loss - right) < 1e-6 * right && abs(loss - wrong) > 1e-5 * right, "\(loss) for \(right), not \(wrong)")
  }

  private static func slope(
    _ exact: inout DoublePrecisionTransformer, _ part: ModelPart, _ name: ParameterName, _ index: Int,
    _ microBatch: MicroBatch
  ) -> Double {
    let count = exact.weights[part]?[name]?.count ?? 0
    return slope(&exact, part, name, along: (0..<count).map { $0 == index ? 1 : 0 }, microBatch)
  }

  /// Derivative of the loss by a tensor along a direction, of length 1 after scaling.
  private static func slope(
    _ exact: inout DoublePrecisionTransformer, _ part: ModelPart, _ name: ParameterName, along direction: [Double],
    _ microBatch: MicroBatch
  ) -> Double {
    let step = 1e-4
    let length = direction.reduce(0) { $0 + $1 * $1 }.squareRoot()
    let middle = exact.weights[part]?[name] ?? []
    defer { exact.weights[part]?[name] = middle }
    exact.weights[part]?[name] = zip(middle, direction).map { $0 + step * $1 / length }
    let above = exact.loss(microBatch)
    exact.weights[part]?[name] = zip(middle, direction).map { $0 - step * $1 / length }
    let below = exact.loss(microBatch)
    return (above - below) / (2 * step)
  }
}
