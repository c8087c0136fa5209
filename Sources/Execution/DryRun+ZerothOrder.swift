import Costing
import Documents
import Training

/// What a dry run of zeroth-order training compares in another way than one of gradients.
extension DryRun {
  /// Nothing may differ where tensor groups do not divide matrices: everything is computed element by element, in one order.
  ///
  /// Tensor groups add products in another order, by which losses differ in units in the last place; what a direction shows is
  /// the difference of two losses over 2ε, so that steps differ by 4 units of a loss over ε, as a part of the smallest
  /// gradient that was seen, and later losses by what weights are off. In 16 bits that may be all of a step.
  ///
  /// - Parameter reference: of all steps.
  static func tolerances(
    of arithmetic: Precision, _ shape: IterationShape, reference: [SerialReference.Step]
  ) -> Tolerances {
    guard shape.strategy.tensorDegree > 1 else {
      return Tolerances(firstLoss: 0, firstScalars: 0, laterScalars: 0, parameters: 0)
    }
    let unit = arithmetic.unitRoundoff
    let loss = reference.map(\.loss).max() ?? 0
    let gradient = max(reference.map(\.gradientNorm).min() ?? 0, .leastNormalMagnitude)
    let step = 4 * unit * loss / shape.job.zerothOrder.epsilon / gradient
    return Tolerances(
      firstLoss: 0x1p6 * unit, firstScalars: max(0x1p6 * unit, step), laterScalars: 4 * step, parameters: 4 * step)
  }

  /// Weights that come from the host and go there, in an iteration: each replica of a layer's slices once each way, and once
  /// more from the host for every further visit.
  static func hostTraffic(of run: MiniatureRun, stepCount: Int, miniature: Miniature) -> [Traffic] {
    let strategy = miniature.strategy, model = miniature.model
    guard strategy.update == .zerothOrder, strategy.hosting.holdsWeights else { return [] }
    let layer =
      model.job.model.layerParameters(.dense).perRank(tensorDegree: strategy.tensorDegree)
      * model.job.precision.byteCount
    let copies = strategy.tensorDegree * strategy.dataDegree / strategy.sharding.weightDegree
    let bytes =
      miniature.split.stages(of: LayerKinds(of: model.job.model)).reduce(0) {
        $0 + $1.hostedLayerCount(strategy.hosting)
      } * layer * copies
    let visits = strategy.visitCount(of: strategy.microBatchCount(globalBatch: model.job.globalBatch))
    func row(_ level: String, executed: (NumericMachine) -> Int, counted: Int) -> Traffic {
      Traffic(
        kind: "weights", level: level,
        executedBytes: run.ranks.reduce(0) { $0 + executed($1.machine) } / stepCount, countedBytes: counted,
        disagreeingRankCount: 0)
    }
    return [
      row("from the host", executed: \.uploadedBytes, counted: bytes * visits),
      row("to the host", executed: \.offloadedBytes, counted: bytes),
    ]
  }
}
