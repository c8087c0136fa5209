package import Documents

/// What an iteration will take: seconds by cause, and the memory of every pipeline stage by kind.
///
/// ```swift
/// let prediction = try planner.estimate(Strategy("tensor=8,pipeline=16,recompute=full")).prediction
/// print(prediction.iterationSeconds, prediction.stages.map(\.peakBytes), prediction.verdict)
/// ```
public struct Prediction: Sendable, Equatable {
  package let document: Documents.Prediction

  /// Whether the memory that is needed is there.
  public enum Verdict: String, Sendable, CaseIterable {
    case fits
    /// Little headroom, or of a kind that often fails.
    case risky
    case unfit
  }

  /// The most that a device of a pipeline stage holds at once.
  public struct Stage: Sendable, Equatable {
    let memory: Documents.Prediction.StageMemory
    /// Of a device's memory.
    public var peakBytes: Int { memory.peakBytes }
    /// Of the host's memory for this device: optimizer states that wait there.
    public var hostBytes: Int { memory.hostBytes }
    /// What the peak is made of: weights, gradients, optimizer, activations, workspace, reserved, fragmentation.
    public var bytesByKind: [(kind: String, bytes: Int)] { memory.parts.map { ($0.name, $0.bytes) } }
  }

  /// Of one optimizer step.
  public var iterationSeconds: Double { document.iterationSeconds }
  /// Where nine in ten measured runs of its kind lie, seconds: what fits that had not seen a model's runs were off by on them.
  /// Nil for training of which no run was measured.
  public var iterationSecondsRange: ClosedRange<Double>? { document.iterationSecondsRange }
  /// What an iteration is made of, on the stage that ends last: compute, recompute, launch, tensor, pipeline, data,
  /// bubble, optimizer, fixed. The seconds add up to ``iterationSeconds``.
  public var secondsByCause: [(cause: String, seconds: Double)] {
    document.timeSplit.parts.map { ($0.name, $0.seconds) }
  }
  /// In the pipeline's order.
  public var stages: [Stage] { document.stageMemory.map(Stage.init) }
  /// Of the fullest device, bytes.
  public var peakBytes: Int { document.peakBytes }
  /// Of the tightest stage.
  public var verdict: Verdict {
    switch document.verdict {
    case .fits: .fits
    case .risky: .risky
    case .unfit: .unfit
    }
  }
  /// Throughput.
  public var tokensPerSecondPerDevice: Double { document.tokensPerSecondPerDevice }
  /// Model FLOP of an iteration over what the devices could do at peak in that time.
  public var modelFLOPUtilization: Double { document.modelFLOPUtilization }
}
