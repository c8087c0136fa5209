import Costing
import Documents

/// Lower bounds on the iteration time of a partial split, by dynamic programming.
///
/// `rest[i][n]` is the least, over all ways to finish a split that has n layers before stage i, of the largest term of
/// the stages from i on.
struct SplitBounds {
  /// No split takes less, seconds.
  let leastSeconds: Double

  private let terms: StageTerms
  /// Row i, column n: see above; infinite where no completion fits.
  private let rest: [[Double]]

  /// - Parameters:
  ///   - capacities: the most layers of each stage.
  ///   - capacityFrom: the most layers of all stages from each on.
  /// - Complexity: O(p · L · L/p) in practice: a stage is not filled beyond the first term that exceeds the best.
  init(cost: StrategyCost, capacities: [Int], capacityFrom: [Int]) {
    let p = capacities.count, layerCount = cost.layerCount
    let terms = StageTerms(cost)
    var rest = [[Double]](repeating: [Double](repeating: .infinity, count: layerCount + 1), count: p + 1)
    rest[p][layerCount] = 0
    for stage in stride(from: p - 1, through: 0, by: -1) {
      // Layers that can be used before this stage so that all stages get some and the rest fits.
      let least = stage == 0 ? 0 : max(stage, layerCount - capacityFrom[stage])
      let most = stage == 0 ? 0 : layerCount - (p - stage)
      guard least <= most else { continue }
      for used in least...most {
        var best = Double.infinity
        let mostHere = min(capacities[stage], layerCount - used - (p - stage - 1))
        let leastHere = max(1, layerCount - used - capacityFrom[stage + 1])
        guard leastHere <= mostHere else { continue }
        for layers in leastHere...mostHere {
          let term = terms.seconds(stage: stage, used: used, layers: layers)
          // Terms grow with the stage's own layers.
          if term >= best { break }
          best = min(best, max(term, rest[stage + 1][used + layers]))
        }
        rest[stage][used] = best
      }
    }
    self.terms = terms
    self.rest = rest
    leastSeconds = rest[0][0]
  }

  /// A bound on every split that gives `layers` to `stage` after `used` to those before it, the stages before aside.
  func seconds(stage: Int, used: Int, layers: Int) -> Double {
    max(terms.seconds(stage: stage, used: used, layers: layers), rest[stage + 1][used + layers])
  }
}

/// The terms of the lower bound, each a path through the pipeline's dependencies that turns at one stage, followed by
/// what the iteration does after it.
struct StageTerms {
  private let paths: OneForwardOneBackwardBound
  private let cost: StrategyCost
  /// What each layer before the last stage adds.
  private let layer: StrategyCost.PassSeconds
  private let lastStage: Int
  private let microBatches: Double
  private let transferBefore: [Double]
  /// After the pipeline, at least: what stage 0 does with one layer.
  private let leastTailSeconds: Double
  private let fixedSeconds: Double
  /// Tail by stage kind (or stage) and layers.
  private let tails: [[Double]]
  private let tailIndex: [Int]

  init(_ cost: StrategyCost) {
    let p = cost.strategy.pipelineDegree
    let transfers = (0..<max(0, p - 1)).map { cost.transferSeconds(afterStage: $0) }
    paths = OneForwardOneBackwardBound(
      workSeconds: cost.leastWorkSeconds(stageCount: p), transferSeconds: transfers,
      microBatchCount: cost.microBatchCount)
    self.cost = cost
    layer = cost.launchedLayer
    lastStage = p - 1
    microBatches = Double(cost.microBatchCount)
    var before = [0.0]
    for transfer in transfers { before.append(before[before.count - 1] + transfer) }
    transferBefore = before
    let mostLayers = cost.layerCount - (p - 1)
    // Middle stages of a uniform cluster share one row.
    var tails: [[Double]] = []
    var tailIndex: [Int] = []
    for stage in 0..<p {
      if cost.hasUniformTails, stage > 1, stage < p - 1 {
        tailIndex.append(tailIndex[1])
        continue
      }
      tailIndex.append(tails.count)
      // Overlap may hide more of a larger tail; the least tail of as many layers or more grows with the layers.
      var row = [0.0] + (1...mostLayers).map { cost.tailSeconds(stage: stage, layerCount: $0) }
      for layers in stride(from: mostLayers - 1, through: 0, by: -1) { row[layers] = min(row[layers], row[layers + 1]) }
      tails.append(row)
    }
    self.tails = tails
    self.tailIndex = tailIndex
    leastTailSeconds = tails[0][1]
    fixedSeconds = cost.fixedSeconds
  }

  /// The largest term of a stage that has `layers` after `used` of the stages before it.
  func seconds(stage: Int, used: Int, layers: Int) -> Double {
    let own = cost.passSeconds(layerCount: layers, isFirst: stage == 0, isLast: stage == lastStage)
    let before = Double(used)
    let forwardBefore = stage == 0 ? 0 : cost.embedding.forward + before * layer.forward
    let workBefore = stage == 0 ? 0 : forwardBefore + cost.embedding.backward + before * layer.backward
    let tail = tails[tailIndex[stage]][layers]
    // The pipeline ends on stage 0, which then does its tail.
    let pipeline = paths.stageTermSeconds(
      stage, prefixWorkSeconds: workBefore, forwardSeconds: own.forward, backwardSeconds: own.backward)
    // This stage ends after its own work, which starts when the first micro-batch arrives, and then does its tail.
    let end = forwardBefore + transferBefore[stage] + microBatches * (own.forward + own.backward)
    return fixedSeconds + max(pipeline + (stage == 0 ? tail : leastTailSeconds), end + tail)
  }
}
