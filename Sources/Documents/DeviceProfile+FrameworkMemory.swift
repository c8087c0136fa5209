import JSONText

extension DeviceProfile.Framework {
  /// What a framework keeps in memory beside what the operations and the optimizer need, and what it reports of it.
  ///
  /// Every coefficient has a value, 0, 1 or false, with which nothing is added to the exact counts.
  package struct Memory: Sendable, Equatable {
    /// What its runs take beside all that is counted and beside what the device profile reserves: a context of its own,
    /// flat buffers, those of its communicators.
    package var reservedBytes: Int
    /// Activations that are kept, as a multiple of what the operations need.
    package var activationFactor: Double
    /// Whether a gated activation runs as separate operations, so that the activated gate is kept beside gate, value
    /// and product; a fused one computes it again.
    package var keepsActivatedGate: Bool
    /// What is computed again where a strategy recomputes selectively.
    package var selective: Selective
    /// Bytes alive per entry of the logits while the loss is computed, all copies together.
    package var logitsBytesPerEntry: Double
    /// Gradients and temporaries of a layer that runs backward, as a multiple of the activations that a layer keeps.
    package var backwardWorkspaceFactor: Double
    /// Whether a micro-batch's gradients, in the weights' precision, are alive together until its backward pass ends
    /// and are then added to the accumulated ones.
    package var separatesMicroBatchGradients: Bool
    /// Buckets of an all-reduce of gradients, bytes for each parameter of a rank; not there where ZeRO shards or where
    /// there is one replica.
    package var bucketBytesPerParameter: Double
    /// Copies of a rank's accumulated gradients that ZeRO 1 makes to reduce them after the last backward pass.
    package var stepGradientCopies: Double
    /// Buffers of a micro-batch's whole activations (tokens times hidden size) that a tensor group's gathers keep.
    package var tensorBufferCount: Double
    /// Whole activations for each layer in flight that are no longer needed but not free either, since a collective of
    /// a tensor group may still read them: while the host launches ahead of the device.
    package var pendingActivationFactor: Double
    /// Whether weights of products lie in the narrow format that they are multiplied in where nobody says whether they do
    /// (``Strategy/holdsNarrowWeights``): a framework's recipes have it so (Megatron-LM's `--fp8-param-gather`).
    package var holdsNarrowWeights = false
    /// Whether its runs ask the allocator for segments that grow (PyTorch's `expandable_segments`), so that what is freed can be
    /// had in any size: nothing is lost to fragmentation.
    package var growsSegments = false
    /// What a run of this framework reports as its memory.
    package var reportedMemory: ReportedMemory
    /// Whose memory it reports.
    package var reportedStage: ReportedStage
    /// Share of the memory below which a peak fits, where the framework's own runs tell; nil takes the device
    /// profile's.
    package var comfortableFraction: Double?
    /// Share of the memory above which a peak does not fit, likewise; where it is less than what fits, nothing is
    /// risky.
    package var limitFraction: Double?

    /// Sets everything that a framework adds to the exact counts to nothing; the loss keeps its copies of the logits.
    package mutating func keepOnlyWhatOperationsNeed() {
      reservedBytes = 0
      activationFactor = 1
      keepsActivatedGate = false
      selective = .attentionCore
      backwardWorkspaceFactor = 0
      separatesMicroBatchGradients = false
      bucketBytesPerParameter = 0
      stepGradientCopies = 0
      tensorBufferCount = 0
      pendingActivationFactor = 0
    }
  }

  /// A kind of selective recomputation.
  package enum Selective: String, Sendable, CaseIterable {
    /// Scores, softmax and dropout of an attention core that is not fused (Korthikanti et al. 2022).
    case attentionCore = "attention_core"
    /// All of a block but every other of its matrix products, the first one kept, and the attention core (torchtitan's,
    /// by operation: `distributed/activation_checkpoint.py`).
    case everySecondProduct = "every_second_product"
  }

  /// What is called a run's memory.
  package enum ReportedMemory: String, Sendable, CaseIterable {
    /// Tensors that are alive, as PyTorch counts them: no context, no library workspace, no loss of the allocator.
    case allocated
    /// What the allocator has taken from the device, as a device's own tool shows it too: all of the above.
    case reserved
  }

  /// The stage whose device is asked.
  package enum ReportedStage: String, Sendable, CaseIterable {
    case first, last, largest
  }
}

extension DeviceProfile.Framework.Memory {
  init(_ field: Field) throws(DocumentError) {
    var fields = try field.fields()
    reservedBytes = try fields.required("reserved_bytes").integer(in: 0...1_000_000_000_000)
    activationFactor = try fields.required("activation_factor").number(
      in: 0.1...8, expected: "a number from 0.1 to 8")
    keepsActivatedGate = try fields.required("keeps_activated_gate").boolean()
    selective =
      try fields.optional("selective_recomputation")?.choice(of: DeviceProfile.Framework.Selective.self)
      ?? .attentionCore
    logitsBytesPerEntry = try fields.required("logits_bytes_per_entry").number(
      in: 0...64, expected: "a number from 0 to 64")
    backwardWorkspaceFactor = try fields.required("backward_workspace_factor").number(
      in: 0...64, expected: "a number from 0 to 64")
    separatesMicroBatchGradients = try fields.required("separates_micro_batch_gradients").boolean()
    bucketBytesPerParameter = try fields.required("bucket_bytes_per_parameter").number(
      in: 0...64, expected: "a number from 0 to 64")
    stepGradientCopies = try fields.required("step_gradient_copies").number(
      in: 0...16, expected: "a number from 0 to 16")
    tensorBufferCount = try fields.required("tensor_buffer_count").number(
      in: 0...64, expected: "a number from 0 to 64")
    pendingActivationFactor = try fields.required("pending_activation_factor").number(
      in: 0...64, expected: "a number from 0 to 64")
    holdsNarrowWeights = try fields.optional("holds_narrow_weights")?.boolean() ?? false
    growsSegments = try fields.optional("expandable_segments")?.boolean() ?? false
    reportedMemory = try fields.required("reported_memory").choice(of: DeviceProfile.Framework.ReportedMemory.self)
    reportedStage = try fields.required("reported_stage").choice(of: DeviceProfile.Framework.ReportedStage.self)
    comfortableFraction = try fields.optional("comfortable_fraction")?.fraction()
    limitFraction = try fields.optional("limit_fraction")?.fraction()
    try fields.finish()
  }

  var json: JSON {
    object(
      ("reserved_bytes", .integer(reservedBytes)), ("activation_factor", .number(activationFactor)),
      ("keeps_activated_gate", .boolean(keepsActivatedGate)),
      ("holds_narrow_weights", holdsNarrowWeights ? .boolean(true) : nil),
      ("expandable_segments", growsSegments ? .boolean(true) : nil),
      ("selective_recomputation", selective == .attentionCore ? nil : .string(selective.rawValue)),
      ("logits_bytes_per_entry", .number(logitsBytesPerEntry)),
      ("backward_workspace_factor", .number(backwardWorkspaceFactor)),
      ("separates_micro_batch_gradients", .boolean(separatesMicroBatchGradients)),
      ("bucket_bytes_per_parameter", .number(bucketBytesPerParameter)),
      ("step_gradient_copies", .number(stepGradientCopies)), ("tensor_buffer_count", .number(tensorBufferCount)),
      ("pending_activation_factor", .number(pendingActivationFactor)),
      ("reported_memory", .string(reportedMemory.rawValue)), ("reported_stage", .string(reportedStage.rawValue)),
      ("comfortable_fraction", comfortableFraction.map(JSON.number)), ("limit_fraction", limitFraction.map(JSON.number))
    )
  }
}

extension DeviceProfile.Memory {
  /// The same where segments grow: what one moment has freed the next can use, in any size.
  package var withGrowingSegments: Self {
    var memory = self
    memory.fragmentationFraction = 0
    memory.unreusedFraction = 0
    return memory
  }
}
