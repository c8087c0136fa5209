package import Documents

/// Number formats of weights and activations.
public enum Precision: String, Sendable, CaseIterable {
  case bf16, fp16, fp32
  /// fp32 numbers, which matrix units multiply as TF32.
  case tf32
  /// bf16 numbers, of which blocks' linear layers multiply what they cast to FP8: scaled by the largest of earlier steps, by
  /// the tensor's own largest, or by that of every 128 numbers.
  case fp8Delayed = "fp8-delayed"
  case fp8Current = "fp8-current-scaling"
  case fp8Blockwise = "fp8-blockwise"
  /// The same in FP8 with a scale for every 32 numbers, and in FP4 with one for every 16.
  case mxfp8, nvfp4
}

/// What is to be trained, and how much of it in one iteration.
///
/// ```swift
/// let job = Job(model: try .named("gpt3-175b"), globalBatch: 512)
/// ```
public struct Job: Sendable, Equatable {
  private enum Content: Equatable {
    case whole(TrainingJob)
    case open(Stated)
  }

  /// What is stated of a job; the rest depends on the cluster.
  fileprivate struct Stated: Equatable {
    let model: Model
    let globalBatch: Int
    let sequence: Int?
    let precision: Precision?
    let gradientPrecision: Precision?
    let optimizer: Optimizer
    let zerothOrder: ZerothOrder
    let outer: OuterOptimizer
    let expertLoad: Double
    let wideLayers: WideLayers
    let narrowsHead: Bool
  }

  private let content: Content

  /// - Parameters:
  ///   - globalBatch: sequences of one iteration (one optimizer step).
  ///   - sequence: tokens of a sequence; nil for 4096, or fewer where the model has fewer learned positions.
  ///   - precision: nil for bf16 where all devices of the cluster compute in it, else fp16.
  ///   - gradientPrecision: in which gradients are accumulated, fp32 or `precision`; nil for fp32 except under fp16.
  ///   - optimizer: what updates the weights.
  ///   - zerothOrder: how weights move instead where zeroth-order training is allowed.
  ///   - outer: what outer steps do where workers that train apart are allowed.
  ///   - expertLoad: of a model with experts, tokens that the fullest rank of an expert group is sent, over the mean; 1 is
  ///     balanced routing.
  ///   - bf16Layers: how many layers at the model's beginning and end multiply in bf16 where `precision` has the others' products
  ///     narrower; 0 of a precision that has not.
  ///   - narrowHead: whether the output head's products are in that narrower format as well.
  public init(
    model: Model, globalBatch: Int, sequence: Int? = nil, precision: Precision? = nil,
    gradientPrecision: Precision? = nil, optimizer: Optimizer = Optimizer(), zerothOrder: ZerothOrder = .usual,
    outer: OuterOptimizer = .usual, expertLoad: Double = 1, bf16Layers: (first: Int, last: Int) = (0, 0),
    narrowHead: Bool = false
  ) {
    content = .open(
      Stated(
        model: model, globalBatch: globalBatch, sequence: sequence, precision: precision,
        gradientPrecision: gradientPrecision, optimizer: optimizer, zerothOrder: zerothOrder,
        outer: outer, expertLoad: expertLoad,
        wideLayers: WideLayers(first: bf16Layers.first, last: bf16Layers.last), narrowsHead: narrowHead))
  }

  private init(_ whole: TrainingJob) { content = .whole(whole) }

  /// A job document.
  public static func file(_ path: String) throws(SextantError) -> Job {
    do {
      return Job(try TrainingJob(contentsOf: path, catalog: shippedInputs))
    } catch { throw SextantError(error) }
  }

  /// The text of a job document, called `job` in errors; paths in it are relative to the working folder.
  public static func text(_ json: String) throws(SextantError) -> Job {
    do {
      let field = try parse(Array(json.utf8), source: "job")
      return Job(try TrainingJob(field, catalog: shippedInputs, folder: "."))
    } catch { throw SextantError(error) }
  }

  /// What is left open.
  var defaults: [Planner.Default] {
    guard case .open(let stated) = content else { return [] }
    return (stated.sequence == nil ? [.sequence] : []) + (stated.precision == nil ? [.precision] : [])
      + (stated.gradientPrecision == nil ? [.gradientPrecision] : [])
  }

  /// The whole job, with what is left open chosen for a cluster.
  package func training(on cluster: ClusterDescription) throws(SextantError) -> TrainingJob {
    switch content {
    case .whole(let job): return job
    case .open(let stated): return try stated.training(on: cluster)
    }
  }
}

extension Job.Stated {
  /// The job on a cluster.
  fileprivate func training(on cluster: ClusterDescription) throws(SextantError) -> TrainingJob {
    let positions = model.description.positionCount
    let sequenceLength = sequence ?? (positions > 0 ? min(positions, 4096) : 4096)
    try check(globalBatch, in: TrainingJob.Bounds.globalBatch, label: "globalBatch")
    try check(sequenceLength, in: TrainingJob.Bounds.sequenceLength, label: "sequence")
    guard TrainingJob.Bounds.expertLoad.contains(expertLoad) else {
      throw SextantError(
        .input, location: "expertLoad", expected: "expected \(TrainingJob.Bounds.expertLoadWords)",
        found: "\(expertLoad)")
    }
    for count in [wideLayers.first, wideLayers.last] where !WideLayers.bounds.contains(count) {
      throw SextantError(
        .input, location: "bf16Layers",
        expected: "expected \(WideLayers.bounds.lowerBound) to \(WideLayers.bounds.upperBound) layers",
        found: "\(count)")
    }
    let chosen =
      precision ?? (cluster.devices.allSatisfy { $0.peakFLOPPerSecond(.bf16) > 0 } ? .bf16 : .fp16)
    let gradients = gradientPrecision ?? (chosen == .fp16 ? .fp16 : .fp32)
    guard gradients == .fp32 || gradients == chosen.storage && chosen.documents.is16Bit else {
      throw SextantError(
        .argument, location: "gradientPrecision",
        expected: chosen.documents.is16Bit
          ? "expected fp32 or the weights' \(chosen.storage.rawValue)" : "expected fp32",
        found: gradients.rawValue)
    }
    do {
      var job = try TrainingJob(
        model: model.description, sequenceLength: sequenceLength, globalBatch: globalBatch,
        precision: chosen.documents, accumulatesGradientsInFP32: gradients == .fp32,
        optimizer: optimizer.documents
      ).with(wideLayers)
      job.zerothOrder = zerothOrder.documents
      job.outer = outer.documents
      job.expertLoad = expertLoad
      job.narrowsHead = narrowsHead
      return job
    } catch {
      throw SextantError(.input, expected: error.sentence)
    }
  }

  private func check(_ value: Int, in range: ClosedRange<Int>, label: String) throws(SextantError) {
    guard range.contains(value) else {
      throw SextantError(
        .input, location: label, expected: "expected an integer from \(range.lowerBound) to \(range.upperBound)",
        found: "\(value)")
    }
  }
}

extension Precision {
  /// What weights and gradients may be in beside fp32: itself but for formats of products alone, whose weights are bf16.
  var storage: Precision { documents.products == nil ? self : .bf16 }

  /// The same as a document's.
  init(_ document: Documents.Precision) {
    self =
      switch document {
      case .bf16: .bf16
      case .fp16: .fp16
      case .fp32: .fp32
      case .tf32: .tf32
      case .fp8Delayed: .fp8Delayed
      case .fp8Current: .fp8Current
      case .fp8Blockwise: .fp8Blockwise
      case .mxfp8: .mxfp8
      case .nvfp4: .nvfp4
      }
  }

  /// The same, as documents have it.
  fileprivate var documents: Documents.Precision {
    switch self {
    case .bf16: .bf16
    case .fp16: .fp16
    case .fp32: .fp32
    case .tf32: .tf32
    case .fp8Delayed: .fp8Delayed
    case .fp8Current: .fp8Current
    case .fp8Blockwise: .fp8Blockwise
    case .mxfp8: .mxfp8
    case .nvfp4: .nvfp4
    }
  }
}
