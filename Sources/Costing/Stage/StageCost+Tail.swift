package import Documents

/// What follows the last backward pass: gradients summed, the optimizer's step, weights gathered.
extension StageCost {
  /// What a stage does after its last backward pass.
  package struct Tail: Sendable, Equatable {
    /// Reduction of gradients, as far as nothing hides it.
    package let reduceSeconds: Double
    /// Gather of updated weights, as far as nothing hides it.
    package let gatherSeconds: Double
    /// Making and reading the codes of quantised exchanges.
    package let quantisingSeconds: Double
    /// The optimizer step.
    package let optimizerSeconds: Double

    static let none = Tail(reduceSeconds: 0, gatherSeconds: 0, quantisingSeconds: 0, optimizerSeconds: 0)

    /// What replicas communicate.
    package var dataSeconds: Double { reduceSeconds + gatherSeconds + quantisingSeconds }

    /// All of it.
    package var seconds: Double { dataSeconds + optimizerSeconds }
  }

  /// The tail of a stage, the sum of tied embeddings aside.
  package func tail(stage: Int, _ content: Split.Stage) -> Tail {
    let layerCount = content.layerCount
    let traffic = traffic(stage: stage, layerCount: layerCount)
    var reduce = traffic.reduceSeconds, gather = traffic.gatherSeconds
    if strategy.overlapsGradientReduce, reduce + gather > 0 {
      // Reductions of early buckets run under the rest of the last micro-batch's backward, gathers under the first
      // forward of the next iteration.
      let passes = passSeconds(stage: stage, content)
      reduce -= reductionOverlapFraction * min(reduce, passes.backward)
      gather -= framework.gatherOverlapFraction * min(gather, passes.forward)
    }
    var optimizer = optimizerSeconds(stage: stage, layerCount: layerCount)
    if content.choice?.offloadsOptimizer == true, let hostBytesPerSecond {
      // States come for the step and go after it; nothing is taken to hide that.
      optimizer += 2 * Double(memory.optimizerBytes(stage: stage, layerCount: layerCount)) / hostBytesPerSecond
    }
    return Tail(
      reduceSeconds: reduce, gatherSeconds: gather, quantisingSeconds: traffic.kernelSeconds,
      optimizerSeconds: optimizer)
  }

  /// Adam on a stage's parameters: it reads and writes its states, reads the gradient and writes the weight.
  private func optimizerSeconds(stage: Int, layerCount: Int) -> Double {
    let bytesEach = 2 * memory.optimizerByteCount + memory.gradientByteCount + memory.weightByteCount
    let parameters = memory.parameterCount(stage: stage, layerCount: layerCount)
    return Double(parameters) / Double(memory.sharding.optimizerDegree) * Double(bytesEach) * secondsPerMemoryByte
  }

  /// Share of the gradient reduction that the framework hides.
  private var reductionOverlapFraction: Double {
    strategy.zeroStage >= .optimizer
      ? framework.shardedGradientOverlapFraction : framework.gradientOverlapFraction
  }

  /// What a stage's data-parallel group communicates once an iteration, nothing hidden: gradients reduced from 1/g to
  /// 1/o and summed over the replicas of each shard, updated weights gathered from 1/o to 1/w; and what quantising takes.
  private func traffic(
    stage: Int, layerCount: Int
  ) -> (reduceSeconds: Double, gatherSeconds: Double, kernelSeconds: Double) {
    let families = groups.families(ofStage: stage), sharding = memory.sharding
    let w = sharding.weightDegree, g = sharding.gradientDegree, o = sharding.optimizerDegree
    let gradient = memory.gradientByteCount, weight = memory.weightByteCount
    var kernelBytes = 0.0
    /// One collective, bucket by bucket, of what is left of the parameters when `divisor` ranks have divided them.
    ///
    /// - Parameter extent: replicas among which the group's members are spread.
    func seconds(
      in group: ShardGroup, extent: Int, divisor: Int, passes: Double = 1, volume: (Int) -> ShardVolume,
      seconds: (ShardVolume) -> Double
    ) -> Double {
      guard group.group.rankCount > 1 else { return 0 }
      let moved = stepVolume(stage: stage, layerCount: layerCount, divisor: divisor, volume: volume)
      kernelBytes += moved.kernelBytes
      // Every further bucket pays latency and launch again.
      let buckets =
        max(0, (moved.bytes + moved.insideBytes + moved.acrossBytes) / framework.bucketBytes - 1)
        * (group.group.collectiveSeconds + passes * Double(group.group.rankCount - 1) * group.group.latencySeconds)
      // Between nodes reductions reach less of the network than a large transfer does.
      let leavesNode = links.mesh.blockSize(below: .data) * extent > links.devicesPerNode
      return seconds(moved.atRate(leavesNode ? framework.reductionRateFraction : 1)) + buckets
    }
    let shards = families.optimizer
    let reduce =
      seconds(in: shards, extent: o, divisor: g) {
        shards.reduceVolume(elementCount: $0, byteCount: gradient, isQuantised: sharding.quantisesGradients)
      } seconds: {
        shards.reduceSeconds($0)
      }
      + seconds(in: families.replicas, extent: links.mesh.degree(of: .data), divisor: o, passes: 2) {
        ShardVolume(bytes: Double($0 * gradient))
      } seconds: {
        families.replicas.group.allReduceSeconds(byteCount: $0.bytes)
      }
    func gather(in group: ShardGroup, extent: Int, divisor: Int) -> Double {
      seconds(in: group, extent: extent, divisor: divisor) {
        group.gatherVolume(elementCount: $0, byteCount: weight, isQuantised: sharding.quantisesWeights)
      } seconds: {
        group.gatherSeconds($0)
      }
    }
    let gathered =
      gather(in: shards, extent: o, divisor: g) + gather(in: families.gradients, extent: g, divisor: w)
    return (reduce, gathered, kernelBytes * secondsPerMemoryByte)
  }

  /// The volume of a collective of the step: of all parameters at once where gradients are whole, otherwise part by part.
  private func stepVolume(
    stage: Int, layerCount: Int, divisor: Int, volume: (Int) -> ShardVolume
  ) -> ShardVolume {
    guard memory.sharding.gradientDegree > 1, memory.sharding.isQuantised else {
      return volume(memory.shardCount(stage: stage, layerCount: layerCount, degree: divisor))
    }
    let parameters = memory.parameters
    func part(_ count: Int) -> ShardVolume { volume((count + divisor - 1) / divisor) }
    var sum = part(parameters.layer) * layerCount
    if stage == 0 { sum = sum + part(parameters.embedding) }
    if stage == strategy.pipelineDegree - 1 { sum = sum + part(parameters.head) }
    return sum
  }

  /// The part of a stage's tail that no overlap can hide, the sum of tied embeddings aside: it grows with the layers, and
  /// is never more than the tail.
  func unhidableTailSeconds(stage: Int, layerCount: Int) -> Double {
    let traffic = traffic(stage: stage, layerCount: layerCount)
    let hides = strategy.overlapsGradientReduce
    return traffic.reduceSeconds * (hides ? 1 - reductionOverlapFraction : 1)
      + traffic.gatherSeconds * (hides ? 1 - framework.gatherOverlapFraction : 1) + traffic.kernelSeconds
      + optimizerSeconds(stage: stage, layerCount: layerCount)
  }
}
