package import Documents
import Training

/// What follows the last backward pass: gradients summed, the optimizer's step, weights gathered.
extension StageCost {
  /// What a stage does after its last backward pass.
  package struct Tail: Sendable, Equatable {
    /// Reduction of gradients, as far as nothing hides it.
    package let reduceSeconds: Double
    /// Gather of updated weights, as far as nothing hides it.
    package let gatherSeconds: Double
    /// What the device takes to quantise and dequantise for both.
    package let quantisingSeconds: Double
    /// The optimizer step.
    package let optimizerSeconds: Double
    /// Of the reduction, and of the gather, the share that is of routed experts.
    package var routedReduceShare = 0.0
    package var routedGatherShare = 0.0

    /// Of a stage that does nothing more.
    package static let none = Tail(reduceSeconds: 0, gatherSeconds: 0, quantisingSeconds: 0, optimizerSeconds: 0)

    /// What replicas exchange.
    package var dataSeconds: Double { reduceSeconds + gatherSeconds + quantisingSeconds }

    /// All of it.
    package var seconds: Double { dataSeconds + optimizerSeconds }
  }

  /// The tail of a stage, the sum of tied embeddings aside.
  package func tail(stage: Int, _ content: Split.Stage) -> Tail {
    let layers = content.layers
    if let visits {
      return Tail(
        reduceSeconds: 0, gatherSeconds: 0, quantisingSeconds: 0,
        optimizerSeconds: visits.residentUpdateSeconds(stage: stage, content))
    }
    let traffic = traffic(stage: stage, layers)
    var reduce = traffic.reduceSeconds, gather = traffic.gatherSeconds
    if strategy.overlapsGradientReduce, reduce + gather > 0 {
      // Reductions of early buckets run under the rest of the last micro-batch's backward, gathers under the first
      // forward of the next iteration.
      let passes = passSeconds(stage: stage, content)
      reduce -= reductionOverlapFraction * min(reduce, lastGradientSeconds(of: passes, stage: stage, content))
      gather -= framework.gatherOverlapFraction * min(gather, passes.forward)
    }
    var optimizer = optimizerSeconds(stage: stage, layers)
    if content.choice?.offloadsOptimizer == true, let host {
      // States come for the step and go after it; nothing is taken to hide that.
      optimizer += 2 * Double(memory.optimizerBytes(stage: stage, layers)) / host.bytesPerSecond
    }
    func share(_ routed: Double, of all: Double) -> Double { all > 0 ? routed / all : 0 }
    return Tail(
      reduceSeconds: reduce, gatherSeconds: gather, quantisingSeconds: traffic.kernelSeconds,
      optimizerSeconds: optimizer,
      routedReduceShare: share(traffic.routedReduceSeconds, of: traffic.reduceSeconds),
      routedGatherShare: share(traffic.routedGatherSeconds, of: traffic.gatherSeconds))
  }

  /// What gives a stage's gradients of the last micro-batch: its backward pass, or where that is split the weights' part.
  private func lastGradientSeconds(of passes: PassSeconds, stage: Int, _ content: Split.Stage) -> Double {
    guard strategy.schedule.splitsBackward else { return passes.backward }
    return weightGradientSeconds(
      of: passes, content.layers, recomputed: recomputed(content), isFirst: stage == 0,
      isLast: stage == strategy.headStage)
  }

  /// The update of a stage's parameters: memory that is read and written, and what makes Muon's steps orthogonal.
  private func optimizerSeconds(stage: Int, _ layers: LayerCounts) -> Double {
    let bytesEach = memory.updateBytesPerParameter(stage: stage, layers)
    var parameters = Double(memory.parameterCount(stage: stage, layers)) / Double(memory.sharding.optimizerDegree)
    if memory.hasRoutedExperts {
      parameters +=
        Double(memory.routedCount(stage: stage, layers)) / Double(memory.expertSharding.optimizerDegree)
    }
    let seconds = parameters * bytesEach * secondsPerMemoryByte
    // Of further predictions the blocks.
    let blocks = layers.total + (stage == strategy.headStage ? memory.parameters.predictionDepth : 0)
    let whole = orthogonalisation.map { seconds + $0.seconds(layerCount: blocks) } ?? seconds
    guard strategy.hosting.updatePercent > 0, let host else { return whole }
    let updated = memory.updatedCount(stage: stage, layers)
    return whole * Double(100 - strategy.hosting.updatePercent) / 100
      + host.updateSeconds(parameterCount: memory.share(of: updated), bytesEach: bytesEach, memory: memory)
  }

  /// Share of the gradient reduction that the framework hides.
  private var reductionOverlapFraction: Double {
    strategy.zeroStage >= .optimizer
      ? framework.shardedGradientOverlapFraction : framework.gradientOverlapFraction
  }

  /// What a stage's data-parallel group communicates once an iteration, nothing hidden: gradients reduced from 1/g to
  /// 1/o and summed over the replicas of each shard, updated weights gathered from 1/o to 1/w; and what quantising takes.
  private func traffic(
    stage: Int, _ layers: LayerCounts
  ) -> StepTraffic {
    var kernelBytes = 0.0
    /// All that is exchanged at a moment, one after the other, bucket by bucket.
    ///
    /// - Parameter isRouted: whether it is of routed experts, among those ranks that hold the same ones.
    func seconds(_ moment: Moment, _ groups: ShardGroups, isRouted: Bool = false) -> Double {
      var sum = 0.0
      for exchange in groups.exchanges(at: moment) {
        let group = groups.group(of: exchange, ofStage: stage)
        guard group.group.rankCount > 1 else { continue }
        let moved =
          isRouted
          ? group.volume(
            of: exchange, elementCount: memory.routedShardCount(stage: stage, layers, degree: exchange.divisor),
            narrowCount: memory.routedProductCount(stage: stage, layers), memory)
          : stepVolume(of: exchange, in: group, stage: stage, layers)
        kernelBytes += moved.kernelBytes
        // Every further bucket pays latency and launch again; an all-reduce goes round twice.
        let rounds = exchange.kind == .allReduce ? 2.0 : 1
        let bucketBytes = max(
          framework.bucketBytes, framework.bucketBytesPerRank * Double(group.group.rankCount))
        let buckets =
          max(0, (moved.bytes + moved.insideBytes + moved.acrossBytes) / bucketBytes - 1)
          * (group.group.collectiveSeconds + rounds * group.group.leastLatencySeconds)
        // Between nodes reductions reach less of the network than a large transfer does. A group's members are spread
        // among as many replicas as have divided the tensor when it is done.
        let extent = exchange.divisor * exchange.rankCount
        let leavesNode = groups.spacing * extent > links.domainSize
        sum += group.seconds(of: exchange, moved.atRate(leavesNode ? framework.reductionRateFraction : 1)) + buckets
      }
      return sum
    }
    let reduce = seconds(.lastBackward, groups), gathered = seconds(.step, groups)
    let routedReduce = expertGroups.map { seconds(.lastBackward, $0, isRouted: true) } ?? 0
    let routedGather = expertGroups.map { seconds(.step, $0, isRouted: true) } ?? 0
    return StepTraffic(
      reduceSeconds: reduce + routedReduce, gatherSeconds: gathered + routedGather,
      kernelSeconds: kernelBytes * secondsPerMemoryByte, routedReduceSeconds: routedReduce,
      routedGatherSeconds: routedGather)
  }

  /// What a stage's replicas communicate once an iteration, and of it what is of routed experts.
  private struct StepTraffic {
    let reduceSeconds: Double
    let gatherSeconds: Double
    let kernelSeconds: Double
    let routedReduceSeconds: Double
    let routedGatherSeconds: Double
  }

  /// The volume of an exchange of the step: of all parameters at once where gradients are whole, otherwise part by part.
  private func stepVolume(of exchange: Exchange, in group: ShardGroup, stage: Int, _ layers: LayerCounts) -> ShardVolume
  {
    guard exchange.isPartByPart, memory.sharding.isQuantised else {
      // As many bytes, where none are quantised.
      return group.volume(
        of: exchange, elementCount: memory.shardCount(stage: stage, layers, degree: exchange.divisor),
        narrowCount: memory.productCount(stage: stage, layers), memory)
    }
    let parameters = memory.parameters
    // What is quantised is never narrow before.
    func part(_ count: Int) -> ShardVolume {
      group.volume(
        of: exchange, elementCount: (count + exchange.divisor - 1) / exchange.divisor, narrowCount: 0, memory)
    }
    var sum = part(parameters.layers.dense) * layers.dense
    if layers.experts > 0 { sum = sum + part(parameters.layers.experts) * layers.experts }
    if stage == 0 { sum = sum + part(parameters.embedding) }
    if stage == strategy.headStage {
      sum = sum + part(parameters.headPart)
      if parameters.predictionDepth > 0 { sum = sum + part(parameters.prediction) * parameters.predictionDepth }
    }
    return sum
  }

  /// The part of a stage's tail that no overlap can hide, the sum of tied embeddings aside: it grows with the layers, and
  /// is never more than the tail.
  func unhidableTailSeconds(stage: Int, _ layers: LayerCounts) -> Double {
    let traffic = traffic(stage: stage, layers)
    let hides = strategy.overlapsGradientReduce
    return traffic.reduceSeconds * (hides ? 1 - reductionOverlapFraction : 1)
      + traffic.gatherSeconds * (hides ? 1 - framework.gatherOverlapFraction : 1) + traffic.kernelSeconds
      + optimizerSeconds(stage: stage, layers)
  }
}
