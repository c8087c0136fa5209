import Documents
import Training

/// What replicas communicate in every micro-batch: weights gathered, gradients reduced.
extension StageCost {
  /// Passes in the first micro-batch of an iteration, and in each later one: after the first forward pass, weights are
  /// gathered from a secondary partition where there is one.
  struct MicroBatches {
    let first: PassSeconds
    let later: PassSeconds

    /// The mean of `count` micro-batches, so that `count` times it is their exact sum.
    func mean(of count: Int) -> PassSeconds {
      guard first != later else { return first }
      func mean(_ seconds: KeyPath<PassSeconds, Double>) -> Double {
        (first[keyPath: seconds] + Double(count - 1) * later[keyPath: seconds]) / Double(count)
      }
      return PassSeconds(forward: mean(\.forward), backward: mean(\.backward))
    }

    /// Both after `body`.
    func map(_ body: (PassSeconds) -> PassSeconds) -> Self { Self(first: body(first), later: body(later)) }
  }

  /// Adds to a part's passes what sharded weights and gradients communicate in every micro-batch, hidden under
  /// computation as far as the framework does: `max(computation, communication) + (1 − o) · min(computation, communication)`.
  ///
  /// Weights are gathered before forward and backward (Rajbhandari et al. 2020), within the secondary partition once it
  /// exists (Wang et al. 2023); gradients are reduced during backward, first among the ranks that hold the weights once,
  /// then among those that hold the gradient once. Making and reading the codes of quantised collectives keeps the device busy
  /// like computation.
  ///
  /// - Parameters:
  ///   - products: those of both kinds of parameters that are weights of products.
  ///   - borrowedCount: parameters of another part that the passes need as well, none of them of products.
  static func withShardTraffic(
    _ passes: MicroBatchCost.Passes, parameterCount: Int, routedCount: Int = 0,
    products: (shared: Int, routed: Int) = (0, 0), borrowedCount: Int = 0, memory: MemoryModel, groups: ShardGroups,
    expertGroups: ShardGroups? = nil, framework: DeviceProfile.Framework,
    secondsPerMemoryByte: Double
  ) -> MicroBatches {
    let sharding = memory.sharding
    guard sharding.gradientDegree > 1 else {
      let plain = PassSeconds(forward: passes.forwardSeconds, backward: passes.backwardSeconds)
      return MicroBatches(first: plain, later: plain)
    }
    /// All that is exchanged at a moment, of a given number of parameters.
    func traffic(_ moment: Moment, _ parameterCount: Int) -> ShardTraffic {
      guard parameterCount > 0 else { return .none }
      return groups.exchanges(at: moment).reduce(routed(moment)) {
        $0
          + Self.traffic(
            of: $1, parameterCount: parameterCount, narrowCount: products.shared, memory: memory, groups: groups)
      }
    }
    /// The same of routed experts, among those ranks that hold the same ones.
    func routed(_ moment: Moment) -> ShardTraffic {
      guard let expertGroups, routedCount > 0, memory.expertSharding.gradientDegree > 1 else { return .none }
      return expertGroups.exchanges(at: moment).reduce(.none) {
        $0
          + Self.traffic(
            of: $1, parameterCount: routedCount, narrowCount: products.routed, memory: memory, groups: expertGroups)
      }
    }
    let later = traffic(.laterUse, parameterCount + borrowedCount)
    // What is borrowed was gathered before by the part whose it is.
    let first =
      sharding.secondaryDegree == nil
      ? later : traffic(.firstUse, parameterCount) + traffic(.laterUse, borrowedCount)
    let reduced = traffic(.partBackward, parameterCount)
    let overlap =
      sharding.weightDegree > 1 ? framework.gatherOverlapFraction : framework.shardedGradientOverlapFraction
    func phase(_ seconds: Double, _ traffic: ShardTraffic) -> Double {
      let computation = seconds + traffic.kernelBytes * secondsPerMemoryByte
      return max(computation, traffic.seconds) + (1 - overlap) * min(computation, traffic.seconds)
    }
    let backward = phase(passes.backwardSeconds, later + reduced)
    return MicroBatches(
      first: PassSeconds(forward: phase(passes.forwardSeconds, first), backward: backward),
      later: PassSeconds(forward: phase(passes.forwardSeconds, later), backward: backward))
  }

  /// What replicas exchange of a part with a given number of parameters, on the slowest of their groups.
  ///
  /// - Parameter narrowCount: those of them that are weights of products.
  static func traffic(
    of exchange: Exchange, parameterCount: Int, narrowCount: Int, memory: MemoryModel, groups: ShardGroups
  ) -> ShardTraffic {
    let group = groups.slowest[exchange]
    let volume = group.volume(
      of: exchange, elementCount: (parameterCount + exchange.divisor - 1) / exchange.divisor, narrowCount: narrowCount,
      memory)
    return ShardTraffic(seconds: group.seconds(of: exchange, volume), kernelBytes: volume.kernelBytes)
  }

  /// Seconds on links, and bytes through a device's own memory to quantise and dequantise.
  struct ShardTraffic {
    let seconds: Double
    let kernelBytes: Double

    static let none = ShardTraffic(seconds: 0, kernelBytes: 0)

    static func + (left: Self, right: Self) -> Self {
      ShardTraffic(seconds: left.seconds + right.seconds, kernelBytes: left.kernelBytes + right.kernelBytes)
    }
  }
}

extension ShardGroup {
  /// The volume of an exchange of `elementCount` elements.
  ///
  /// - Parameter narrowCount: weights of products among what has not been divided yet.
  func volume(of exchange: Exchange, elementCount: Int, narrowCount: Int, _ memory: MemoryModel) -> ShardVolume {
    volume(
      of: exchange, elementCount: elementCount,
      byteCount: memory.byteCount(
        of: exchange, elementCount: elementCount,
        narrowCount: (narrowCount + exchange.divisor - 1) / exchange.divisor))
  }
}
