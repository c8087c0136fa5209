import Documents
import Training

/// Buffers of quantised collectives on one rank, bytes.
///
/// A gather holds what all ranks have sent; an exchange what it sends and receives, twice, and in fp32 what its node has
/// summed.
struct QuantisationBuffers: Sendable {
  private let sharding: Sharding
  private let weights: ShardQuantisation?
  private let gradients: ShardQuantisation?
  private let optimizer: ShardQuantisation?

  /// - Returns: nil where nothing is quantised.
  init?(_ strategy: Strategy, devicesPerNode: Int) {
    self.init(strategy.sharding, in: strategy.mesh, devicesPerNode: devicesPerNode)
  }

  /// The same of every strategy of a mesh.
  init?(_ sharding: Sharding, in mesh: Mesh, devicesPerNode: Int) {
    guard sharding.isQuantised else { return nil }
    self.sharding = sharding
    func quantisation(_ family: Sharding.Family) -> ShardQuantisation? {
      ShardQuantisation(sharding.group(of: family, containing: 0, in: mesh), devicesPerNode: devicesPerNode)
    }
    (weights, gradients, optimizer) = (quantisation(.weights), quantisation(.gradients), quantisation(.optimizer))
  }

  /// While a part of the model runs backward: its weights are gathered, and its gradient is reduced.
  func passBytes(parameterCount: Int) -> Int {
    guard sharding.gradientDegree > 1 else { return 0 }
    return gatherBytes(weights, parameterCount)
      + max(
        exchangeBytes(weights, parameterCount),
        exchangeBytes(gradients, parameterCount, dividedBy: sharding.weightDegree))
  }

  /// At the step, of a tensor that is reduced and gathered at once.
  func stepBytes(parameterCount: Int) -> Int {
    max(
      exchangeBytes(optimizer, parameterCount, dividedBy: sharding.gradientDegree),
      gatherBytes(optimizer, parameterCount, dividedBy: sharding.gradientDegree),
      gatherBytes(gradients, parameterCount, dividedBy: sharding.weightDegree))
  }

  private func gatherBytes(_ quantisation: ShardQuantisation?, _ parameterCount: Int, dividedBy degree: Int = 1) -> Int
  {
    guard sharding.quantisesWeights, let quantisation else { return 0 }
    return quantisation.gatheredByteCount(elementCount: (parameterCount + degree - 1) / degree)
  }

  private func exchangeBytes(_ quantisation: ShardQuantisation?, _ parameterCount: Int, dividedBy degree: Int = 1)
    -> Int
  {
    guard sharding.quantisesGradients,
      let exchange = quantisation?.exchange(elementCount: (parameterCount + degree - 1) / degree)
    else { return 0 }
    return 2 * (exchange.insideByteCount + exchange.acrossByteCount)
      + (exchange.insideByteCount > 0 ? 4 * exchange.nodeSumCount : 0)
  }
}
