import Costing
import Documents
import Training

/// What the steps of zeroth-order training take on the clock: what the cost model says of each part's visits.
extension ClockSetting {
  /// What a part's visits cost on a stage; nil under first-order training.
  func visit(of part: ModelPart, stage: Int) -> PartVisit? {
    guard let visits = cost[stage].visits else { return nil }
    return switch part {
    case .embedding: visits.embedding
    case .layer, .experts: visits.layer
    case .head: visits.head
    // Part of the head's.
    case .prediction: nil
    }
  }

  /// Seconds of a step.
  func visitSeconds(of computation: Computation, stage: Int, replica: Int) -> Double {
    switch computation {
    case .update(let part, with: .ofLastIteration): visit(of: part, stage: stage)?.updateSeconds ?? 0
    case .update(let part, with: .ofThisIteration):
      tails[stage].optimizerSeconds * residentShare(of: part, stage: stage, replica: replica)
    case .perturb(let part, _): perturbSeconds(of: part, stage: stage)
    case .evaluatePart(let part, let microBatches, _):
      Double(microBatches.count) * (visit(of: part, stage: stage)?.forwardSeconds ?? 0)
    default: 0
    }
  }

  /// Seconds of an upload or an offload.
  func seconds(of transfer: HostTransfer, stage: Int) -> Double {
    visit(of: transfer.part, stage: stage)?.transferSeconds ?? 0
  }

  /// A head that uses the embedding's matrix is priced with that, and the embedding, which comes before it, is perturbed by
  /// itself.
  private func perturbSeconds(of part: ModelPart, stage: Int) -> Double {
    guard let visit = visit(of: part, stage: stage) else { return 0 }
    guard part == .head, !shape.headOwnsMatrix else { return visit.perturbSeconds }
    return max(0, visit.perturbSeconds - (self.visit(of: .embedding, stage: stage)?.perturbSeconds ?? 0))
  }

  /// A part's share in the step of all that stays on a rank.
  private func residentShare(of part: ModelPart, stage: Int, replica: Int) -> Double {
    func kept(_ part: ModelPart) -> Int {
      shape.sharding.ranges(
        ofReplica: replica, replicaCount: shape.strategy.dataDegree, elementCount: shape.parameterCount(of: part)
      ).weights.count
    }
    let all = shape.parts(ofVirtualStage: stage).filter { !shape.isHosted($0) }.reduce(0) { $0 + kept($1) }
    return all > 0 ? Double(kept(part)) / Double(all) : 0
  }

  /// Whether a rank's passes may be over when a step is.
  func endsPasses(_ operation: ProgramStep.Operation) -> Bool {
    switch operation {
    case .compute(.endPass): !shape.isZerothOrder
    case .compute(.evaluatePart), .offload: true
    default: false
    }
  }

  /// Bytes of a micro-batch's activations between parts, as a rank has them.
  var travellingByteCount: Int {
    let divisor = shape.strategy.usesSequenceParallelism ? shape.strategy.tensorDegree : 1
    return shape.activationElementCount / divisor * shape.job.precision.byteCount
  }

  /// The forward passes of a visit by cause. A visit has its launches in one price; what the passes' own price does not
  /// explain is theirs.
  func causes(of part: ModelPart, microBatches: Range<Int>, stage: Int) -> PassCauses {
    let passCount = Double(microBatches.count)
    let all = passCount * (visit(of: part, stage: stage)?.forwardSeconds ?? 0)
    let step = PipelineStep(pass: .forward, microBatchIndex: 0)
    var causes = self.causes(of: part, step, stage: stage)
    causes.computeSeconds *= passCount
    causes.tensorSeconds *= passCount
    causes.dataSeconds = 0
    causes.launchSeconds = max(0, all - causes.computeSeconds - causes.tensorSeconds)
    return causes
  }
}
