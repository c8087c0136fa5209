package import Documents
import Training

/// Verdicts, and how many layers fit.
extension MemoryModel {
  /// The largest peak that still has a verdict at least as good, bytes.
  package func limitBytes(_ verdict: Prediction.Verdict) -> Int {
    switch verdict {
    case .fits where isFragile: 0
    case .fits: Int(Double(capacityBytes) * comfortableFraction)
    case .risky: Int(Double(capacityBytes) * limitFraction)
    case .unfit: .max
    }
  }

  /// What a peak means on this device.
  package func verdict(peakBytes: Int) -> Prediction.Verdict {
    peakBytes <= limitBytes(.fits) ? .fits : peakBytes <= limitBytes(.risky) ? .risky : .unfit
  }

  /// Whether of the stages without embedding and head each can hold as many layers as those before it: it keeps no more passes.
  var laterStagesHoldNoLess: Bool {
    inFlight.splitting == .none && !strategy.schedule.isV && inFlight.fewerPerStage >= 0
  }

  /// The most layers, up to `most`, with which a peak keeps a limit; 0 if not even the least does.
  ///
  /// - Complexity: a few evaluations: bytes never fall with layers and grow along at most a few lines, so that the
  ///   straight line between what fits and what does not soon finds the step.
  static func mostLayers(
    from least: Int, to most: Int, within limit: Int, peakBytes: (_ layerCount: Int) -> Int
  ) -> Int {
    var (unfit, unfitBytes) = (most, peakBytes(most))
    guard unfitBytes > limit else { return most }
    guard least < most else { return 0 }
    var (fitting, fittingBytes) = (least, peakBytes(least))
    guard fittingBytes <= limit else { return 0 }
    while unfit - fitting > 1 {
      let share = Double(limit - fittingBytes) / Double(unfitBytes - fittingBytes)
      let middle = min(max(fitting + Int(share * Double(unfit - fitting)), fitting + 1), unfit - 1)
      let bytes = peakBytes(middle)
      if bytes <= limit { (fitting, fittingBytes) = (middle, bytes) } else { (unfit, unfitBytes) = (middle, bytes) }
    }
    return fitting
  }
}
