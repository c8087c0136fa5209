import Documents
import Training

/// Bytes of zeroth-order training: no gradients, no optimizer states, and of activations what one part works on.
extension MemoryModel {
  /// Parameters of a rank of a stage that stay on the device: its share of what replicas divide.
  func residentCount(stage: Int, _ content: Split.Stage) -> Int {
    let layers = content.layerCount - content.hostedLayerCount(strategy.hosting)
    return layers * slice(parameters.layer) + (stage == 0 ? slice(parameters.embedding) : 0)
      + (stage == strategy.pipelineDegree - 1 ? slice(parameters.head) : 0)
  }

  /// Peak bytes of a device of a stage.
  ///
  /// | kind | bytes |
  /// |---|---|
  /// | weights | of what stays on the device, the rank's slice |
  /// | activations | the streams between parts: of every loss the rank evaluates, of every micro-batch of a visit |
  /// | workspace | ``Training/IterationShape/blockBufferCount`` blocks where any come from the host, two parts where slices are gathered, and the worse of two moments: a block with its perturbed copy and all that one micro-batch's pass through it makes; or the head with its copy, logits of every loss, and what the loss takes |
  ///
  /// A direction is made where it is used and never held. What a block's pass makes is counted as if nothing of it were
  /// freed before its end.
  func zerothOrderMemory(stage: Int, _ content: Split.Stage) -> Prediction.StageMemory {
    let isFirst = stage == 0, isLast = stage == strategy.pipelineDegree - 1
    let hosted = content.hostedLayerCount(strategy.hosting)
    let weights = residentCount(stage: stage, content) * weightByteCount
    let activations = evaluationCount * strategy.visitMicroBatchCount(of: microBatchCount) * streamByteCount
    let block = parameters.layer * weightByteCount
    var largest = content.layerCount > 0 ? block : 0
    if isFirst { largest = max(largest, parameters.embedding * weightByteCount) }
    if isLast { largest = max(largest, max(parameters.head, parameters.outputMatrix) * weightByteCount) }
    var buffers = tensorBufferBytes
    if hosted > 0 { buffers += IterationShape.blockBufferCount * block }
    if sharding.weightDegree > 1 { buffers += hosted > 0 ? largest - block : largest + block }
    var moment = block + layerActivationBytes.dense
    if isFirst { moment = max(moment, parameters.embedding * weightByteCount) }
    if isLast {
      let logits = evaluationCount * logitsByteCount + logitsWorkspaceBytes
      moment = max(moment, max(parameters.head, parameters.outputMatrix) * weightByteCount + logits)
    }
    let workspace = buffers + moment
    return Prediction.StageMemory(
      weightBytes: weights, gradientBytes: 0, optimizerBytes: 0, activationBytes: activations,
      workspaceBytes: workspace, reservedBytes: memory.reservedBytes + framework.reservedBytes,
      fragmentationBytes: Int((Double(activations + workspace) * memory.fragmentationFraction).rounded(.up)),
      hostBytes: min(hosted * slice(parameters.layer) * weightByteCount, HostedBytes.mostOnHost))
  }

  /// A rank's share of a part's parameters, the largest.
  private func slice(_ count: Int) -> Int { (count + sharding.weightDegree - 1) / sharding.weightDegree }

  /// The fewest layers on the host with which a stage keeps a limit; nil if no number does.
  ///
  /// The first brings buffers of whole blocks, every further one saves.
  /// - Complexity: O(log layers).
  func leastHostedLayerCount(stage: Int, _ layers: StageLayers, limitBytes: Int) -> Int? {
    func fits(_ count: Int) -> Bool {
      let choice = StageChoice(recomputedLayerCount: 0, hostedLayerCount: count)
      return stageMemory(stage: stage, layers.content(choice)).peakBytes <= limitBytes
    }
    return Self.leastCount(upTo: layers.counts.total, fits)
  }
}
