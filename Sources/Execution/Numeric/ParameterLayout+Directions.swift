import Documents

/// A direction of zeroth-order training: of whom, and which.
struct Direction: Sendable, Hashable {
  let seed: Int
  /// From 0.
  let iteration: Int
  /// Of the iteration's, from 0.
  let index: Int
}

extension ParameterLayout {
  /// A direction's normally distributed numbers for the rank's parameters.
  ///
  /// Each is a hash of seed, iteration, direction and its parameter's place in the whole model, as initial values are: slices,
  /// tensor groups, stages and any order of parts have the same, and a copy of a tensor the same as the tensor.
  func numbers(of direction: Direction) -> [Float] {
    var values: [Float] = []
    values.reserveCapacity(count)
    let hash = CounterHash(seed: UInt64(bitPattern: Int64(direction.seed))).appending(Self.directionStream)
      .appending(direction.iteration).appending(direction.index)
    for tensor in tensors {
      forEachRow(of: tensor, hash) { row, firstColumn in
        for column in 0..<tensor.columnCount { values.append(NormalNumber.of(row.appending(firstColumn + column))) }
      }
    }
    return values
  }

  /// First coordinate, apart from those of data, parameters and dropout.
  private static let directionStream = 4
}

/// The arithmetic of zeroth-order training, element by element in fp32, so that any division gives the same bits.
extension ZerothOrder {
  /// θ ± εz, beside θ: in place, +ε, −2ε and +ε would not bring most numbers back to where they were.
  ///
  /// - Parameters:
  ///   - numbers: of the evaluation's direction.
  ///   - format: of weights.
  func perturbed(_ weights: [Float], for evaluation: Evaluation, along numbers: [Float], format: Precision) -> [Float] {
    precondition(weights.count == numbers.count, "a direction has a number for each weight")
    let reach = Float(evaluation.sign) * Float(epsilon)
    var perturbed = weights
    for index in perturbed.indices { perturbed[index] = format.rounded(weights[index] + reach * numbers[index]) }
    return perturbed
  }

  /// θ − (η/q) · Σ g·z, with the directions in their order.
  ///
  /// - Parameters:
  ///   - gradients: along each direction.
  ///   - numbers: of each direction, those of the weights from `first` on.
  func stepped(
    _ weights: [Float], by gradients: [Float], along numbers: [[Float]], from first: Int = 0, format: Precision
  ) -> [Float] {
    let rate = Float(learningRate / Double(directionCount))
    var stepped = weights
    for index in stepped.indices {
      var sum: Float = 0
      for (gradient, numbers) in zip(gradients, numbers) { sum += gradient * numbers[first + index] }
      stepped[index] = format.rounded(weights[index] - rate * sum)
    }
    return stepped
  }

  /// The gradient along each direction: (ℓ(θ + εz) − ℓ(θ − εz)) / 2ε.
  func gradients(ofLosses losses: [Float]) -> [Float] {
    (0..<directionCount).map { (losses[2 * $0] - losses[2 * $0 + 1]) / Float(2 * epsilon) }
  }
}
