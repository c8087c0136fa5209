package import Costing
import Documents
import JSONText

/// What one strategy would take.
///
/// ```swift
/// let estimate = try planner.estimate(Strategy("tensor=8,pipeline=16,recompute=full"))
/// print(estimate.strategy, estimate.prediction.iterationSeconds)
/// ```
public struct Estimate: Sendable {
  package let document: Costing.Estimate

  /// The strategy with what was open filled in.
  public var strategy: Strategy { Strategy(document.strategy) }
  /// Layers of each virtual stage: `chunk · stages + stage`, in the model's order.
  public var layerCounts: [Int] { document.split.layerCounts }
  /// Seconds and bytes.
  public var prediction: Prediction { Prediction(document: document.prediction) }
  /// Strategy, split and prediction.
  public var json: String { document.json.text(style: .pretty) }
}
