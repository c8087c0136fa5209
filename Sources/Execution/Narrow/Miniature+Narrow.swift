import Costing
import Documents
import Training

extension Miniature {
  /// By how much the blocks of numbers that have a scale together are shorter than a format's, as rows are: of 16, 4 and 2 numbers
  /// where the formats have 128, 32 and 16.
  static let blockShare = 8

  /// The format in which its replicas gather weights of products; nil where they gather them as all others.
  var gatheredFormat: ProductFormat? { narrowProducts?.gatheredFormat }

  /// How its ranks cast operands; nil where they do not.
  func casting(seed: UInt64) -> Casting? {
    guard let narrowProducts, narrowProducts.areExecuted else { return nil }
    var casting = Casting(rules: CastRules(narrowProducts.precision, blockShare: Self.blockShare), seed: seed)
    casting.castsMasters = gatheredFormat != nil
    casting.wide = (model.job.wideLayers, model.job.model.layerCount)
    return casting
  }
}

extension ExecutionSetting {
  /// How the reference casts: as many parts of operands as ranks have of them, each by itself.
  var referenceCasting: Casting? {
    casting.map {
      var casting = $0.withHistory()
      casting.parts = Casting.Parts(
        tensor: strategy.tensorDegree, expert: strategy.expertTensorDegree,
        rows: strategy.usesSequenceParallelism ? strategy.tensorDegree : 1,
        batch: strategy.batchDegree * strategy.contextDegree)
      return casting
    }
  }

  /// The same with numbers near the middle between two of the format rounded in a way.
  func rounding(_ choices: RoundingChoices) -> ExecutionSetting {
    var setting = self
    setting.casting?.choices = choices
    return setting
  }
}

extension MiniatureRun {
  /// Brings together what ranks have seen of each tensor in the iteration, over all that have a part of it: an all-reduce of a
  /// number for each tensor, as frameworks have it among the ranks of a stage. It is counted apart from what programs send.
  func shareLargest() {
    var all: [ScaleHistory.Tensor: Float] = [:]
    let castings = ranks.compactMap(\.machine.state.setting.casting)
    for casting in castings {
      for (tensor, largest) in casting.history?.seen ?? [:] {
        all[tensor] = ScaleHistory.larger(all[tensor] ?? 0, largest)
      }
    }
    for casting in castings {
      guard let history = casting.history else { continue }
      history.endIteration(casting.sharesLargest ? all : history.seen)
    }
  }

  /// Whether ranks with the same weights have multiplied by the same numbers.
  var castWeightsAgree: Bool {
    var seen: [ModelPart: [Int: RankState.CastWeights]] = [:]
    for rank in ranks {
      let state = rank.machine.state
      for (part, weights) in state.castWeights {
        let place = state.parts[state.index(of: part)].layout.tensorIndex
        if let other = seen[part]?[place] {
          guard other.step == weights.step, other.forward == weights.forward, other.backward == weights.backward
          else { return false }
        } else {
          seen[part, default: [:]][place] = weights
        }
      }
    }
    return true
  }
}
