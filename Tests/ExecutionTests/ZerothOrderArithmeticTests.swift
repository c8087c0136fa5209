import Testing
import Training

@testable import Documents
@testable import Execution

/// Copies, gradients along directions and steps, by hand and against backward passes.
@Suite struct ZerothOrderArithmeticTests {
  @Test func copiesAreOneStepAway() {
    let settings = ZerothOrder(epsilon: 0.25)
    let weights: [Float] = [1, -2, 0.5], numbers: [Float] = [2, 1, -4]
    #expect(
      settings.perturbed(weights, for: ZerothOrder.Evaluation(0), along: numbers, format: .fp32) == [1.5, -1.75, -0.5])
    #expect(
      settings.perturbed(weights, for: ZerothOrder.Evaluation(1), along: numbers, format: .fp32) == [0.5, -2.25, 1.5])
  }

  @Test func stepsGoDownEachDirection() {
    var settings = ZerothOrder(directionCount: 2, epsilon: 0.5, learningRate: 0.5)
    // (3 − 1) / (2 · 0.5) and (2 − 6) / (2 · 0.5).
    let gradients = settings.gradients(ofLosses: [3, 1, 2, 6])
    #expect(gradients == [2, -4])
    // 1 − 0.5/2 · (2 · 1 − 4 · 3), and so on; the second weight and its numbers by themselves, too.
    #expect(
      settings.stepped([1, 2], by: gradients, along: [[1, 2], [3, -1]], format: .fp32) == [3.5, 0])
    #expect(settings.stepped([2], by: gradients, along: [[1, 2], [3, -1]], from: 1, format: .fp32) == [0])
    settings.learningRate = 0
    #expect(settings.stepped([1, 2], by: gradients, along: [[1, 2], [3, -1]], format: .fp32) == [1, 2])
  }

  /// In bf16 there is nothing between 1 and 1 + 2⁻⁷.
  @Test func weightsStayInTheirFormat() {
    let settings = ZerothOrder(epsilon: 0.001, learningRate: 0.001)
    #expect(settings.perturbed([1], for: ZerothOrder.Evaluation(0), along: [1], format: .bf16) == [1])
    #expect(settings.perturbed([1], for: ZerothOrder.Evaluation(0), along: [7], format: .bf16) == [1 + 0x1p-7])
    #expect(settings.stepped([1], by: [-7], along: [[1]], format: .bf16) == [1 + 0x1p-7])
  }

  /// What two losses show of a direction is the gradient's product with it, as backward passes compute it.
  @Test(arguments: [true, false])
  func gradientsAlongDirectionsAreThoseOfBackwardPasses(isTied: Bool) throws {
    let layout = ZerothOrderLayout(
      directions: 3, model: { try ZerothOrderLayout.gpt(layers: $0, isTied: isTied) })
    let setting = try layout.setting()
    let model = SerialReference(
      shard: setting.referenceShard, globalBatch: 8, microBatch: 2, settings: setting.optimizer)
    let weights = model.layouts.map { $0.initialValues(seed: model.shard.seed) }
    var gradients = model.layouts.map { [Float](repeating: 0, count: $0.count) }
    for first in stride(from: 0, to: 8, by: 2) {
      _ = model.pass(MicroBatch(step: 0, sequences: [first, first + 1]), weights: weights, gradients: &gradients)
    }
    // Short, since a direction is some hundred long and losses are no planes.
    var settings = setting.job.zerothOrder
    settings.epsilon = 2.5e-4
    // Whose directions are none of them across the gradient.
    settings.seed = 1
    let found = SerialZerothOrder(model: model, settings: settings, shareCount: 1).run(stepCount: 1)
    for (index, gradient) in found[0].gradients.enumerated() {
      var product = 0.0
      for (part, layout) in model.layouts.enumerated() {
        let numbers = layout.numbers(of: Direction(seed: settings.seed, iteration: 0, index: index))
        for (left, right) in zip(gradients[part], numbers) { product += Double(left) * Double(right) }
      }
      // A loss of 3 in fp32 is good to 1.2e-7, of which two losses over 2ε make 5e-4.
      #expect(abs(Double(gradient) - product) < 2e-3, "direction \(index)")
      #expect(abs(product) > 0.05)
    }
  }
}
