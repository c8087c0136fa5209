package import JSONText

/// What the cost model says of one strategy: seconds, and bytes on every stage.
@usableFromInline package struct Prediction: Sendable, Equatable {
  /// Where an iteration's time goes, seconds; the parts add up to ``iterationSeconds``.
  ///
  /// A prediction's is that of the stage that ends last: its own work by cause, and what remains of the iteration is
  /// waiting.
  package struct TimeSplit: Sendable, Equatable {
    /// Matrix products, attention and element-wise operations, without recomputation.
    package var computeSeconds = 0.0
    /// Computing activations a second time.
    package var recomputeSeconds = 0.0
    /// Waiting for the host, which cannot launch kernels as fast as the device would run them.
    package var launchSeconds = 0.0
    /// Collectives of the tensor group.
    package var tensorSeconds = 0.0
    /// Keys, values and heads on their way between ranks that divide a sequence, as far as nothing hides them.
    package var contextSeconds = 0.0
    /// Tokens on their way to experts and back, as far as nothing hides it.
    package var expertSeconds = 0.0
    /// What the transfers between stages add to the pipeline.
    package var pipelineSeconds = 0.0
    /// Reductions of gradients and gathers of weights that nothing hides.
    package var dataSeconds = 0.0
    /// Waiting for other stages at the beginning and the end.
    package var bubbleSeconds = 0.0
    package var optimizerSeconds = 0.0
    /// The framework's fixed cost of an iteration.
    package var fixedSeconds = 0.0
    /// Weights on their way from the host and back, as far as nothing hides them.
    package var hostSeconds = 0.0
    /// Outer steps of workers, what of their all-reduce nothing hides, and what it keeps from the links that are used
    /// meanwhile; an iteration's part of a round.
    package var outerSeconds = 0.0

    package init(
      computeSeconds: Double = 0, recomputeSeconds: Double = 0, launchSeconds: Double = 0, tensorSeconds: Double = 0,
      pipelineSeconds: Double = 0, dataSeconds: Double = 0, bubbleSeconds: Double = 0, optimizerSeconds: Double = 0,
      fixedSeconds: Double = 0, hostSeconds: Double = 0, outerSeconds: Double = 0, contextSeconds: Double = 0,
      expertSeconds: Double = 0
    ) {
      self.computeSeconds = computeSeconds
      self.recomputeSeconds = recomputeSeconds
      self.launchSeconds = launchSeconds
      self.tensorSeconds = tensorSeconds
      self.contextSeconds = contextSeconds
      self.expertSeconds = expertSeconds
      self.pipelineSeconds = pipelineSeconds
      self.dataSeconds = dataSeconds
      self.bubbleSeconds = bubbleSeconds
      self.optimizerSeconds = optimizerSeconds
      self.fixedSeconds = fixedSeconds
      self.hostSeconds = hostSeconds
      self.outerSeconds = outerSeconds
    }

    /// The parts with their names, in the order people read them. The host is one where it is waited for, outer
    /// steps and what divided sequences exchange are where there are any.
    package var parts: [(name: String, seconds: Double)] {
      [
        ("compute", computeSeconds), ("recompute", recomputeSeconds), ("launch", launchSeconds),
        ("tensor", tensorSeconds),
      ] + (contextSeconds > 0 ? [("context", contextSeconds)] : [])
        + (expertSeconds > 0 ? [("expert", expertSeconds)] : []) + [
          ("pipeline", pipelineSeconds), ("data", dataSeconds), ("bubble", bubbleSeconds),
          ("optimizer", optimizerSeconds), ("fixed", fixedSeconds),
        ] + (hostSeconds > 0 ? [("host", hostSeconds)] : [])
        + (outerSeconds > 0 ? [("outer", outerSeconds)] : [])
    }
  }

  /// Peak bytes of one device of one stage, by kind. Counted exactly, but for the two overheads.
  @usableFromInline package struct StageMemory: Sendable, Equatable {
    package let weightBytes: Int
    package let gradientBytes: Int
    package let optimizerBytes: Int
    /// What outer steps keep: anchor, momentum, and what is in flight.
    package let outerBytes: Int
    /// Kept from forward for backward, all micro-batches in flight.
    package let activationBytes: Int
    /// What the worst moment takes beside activations: recomputed layer, logits and loss, gathered weights, a layer's
    /// gradients, buffers.
    package let workspaceBytes: Int
    /// What is there before the model is (a coefficient).
    package let reservedBytes: Int
    /// The allocator's loss: blocks that do not fit what is asked for, or are not free yet.
    package let fragmentationBytes: Int
    /// Optimizer states in the host's memory, which are no part of the peak.
    package let hostBytes: Int

    @usableFromInline package init(
      weightBytes: Int, gradientBytes: Int, optimizerBytes: Int, activationBytes: Int, workspaceBytes: Int,
      reservedBytes: Int, fragmentationBytes: Int, hostBytes: Int = 0, outerBytes: Int = 0
    ) {
      self.outerBytes = outerBytes
      self.weightBytes = weightBytes
      self.gradientBytes = gradientBytes
      self.optimizerBytes = optimizerBytes
      self.activationBytes = activationBytes
      self.workspaceBytes = workspaceBytes
      self.reservedBytes = reservedBytes
      self.fragmentationBytes = fragmentationBytes
      self.hostBytes = hostBytes
    }

    /// What tensors take: the peak without what is there before the model, and without the allocator's loss.
    @usableFromInline package var allocatedBytes: Int {
      weightBytes + gradientBytes + optimizerBytes + outerBytes + activationBytes + workspaceBytes
    }

    /// What is taken from the device.
    @usableFromInline package var peakBytes: Int {
      weightBytes + gradientBytes + optimizerBytes + outerBytes + activationBytes + workspaceBytes + reservedBytes
        + fragmentationBytes
    }

    /// The kinds with their names, in the order people read them; outer states are one where there are any.
    package var parts: [(name: String, bytes: Int)] {
      [("weights", weightBytes), ("gradients", gradientBytes), ("optimizer", optimizerBytes)]
        + (outerBytes > 0 ? [("outer", outerBytes)] : [])
        + [
          ("activations", activationBytes), ("workspace", workspaceBytes), ("reserved", reservedBytes),
          ("fragmentation", fragmentationBytes),
        ]
    }
  }

  /// Whether a peak is likely to fit into the device's memory.
  package enum Verdict: String, Sendable, CaseIterable {
    case fits, risky, unfit
  }

  package let iterationSeconds: Double
  /// Where nine in ten measured times of such runs lie, seconds (``DeviceProfile/Accuracy``); nil in a plan that does not say.
  package var iterationSecondsRange: ClosedRange<Double>?
  package let timeSplit: TimeSplit
  /// By stage.
  package let stageMemory: [StageMemory]
  package let verdict: Verdict
  package let tokensPerSecondPerDevice: Double
  /// Model FLOP of an iteration over what the devices could do at peak in that time.
  /// Under zeroth-order training those of as many forward passes as it has losses.
  package let modelFLOPUtilization: Double
  /// What a round of workers takes; nil without outer steps.
  package let outerRound: OuterRound?

  /// What a round of workers is made of, seconds.
  package struct OuterRound: Sendable, Equatable {
    /// All iterations of a round and its outer step: `max(τ · (T + χ), A) + S` where the all-reduce is in flight
    /// meanwhile, `τ · T + A + S` where it is waited for.
    package let roundSeconds: Double
    /// T, an iteration of a worker alone.
    package let localSeconds: Double
    /// A, the all-reduce among workers on what inner traffic leaves of the links, failures of workers included.
    package let allReduceSeconds: Double
    /// χ of one iteration: how much the all-reduce slows it down where it uses the same links.
    package let interferenceSeconds: Double
    /// S, the outer step itself.
    package let stepSeconds: Double
    /// What a device sends to its like in other workers in a round.
    package let sentBytes: Int
    /// The least period under which the all-reduce is hidden altogether, were it in flight.
    package let leastHiddenPeriod: Int

    package init(
      roundSeconds: Double, localSeconds: Double, allReduceSeconds: Double, interferenceSeconds: Double,
      stepSeconds: Double, sentBytes: Int, leastHiddenPeriod: Int
    ) {
      self.roundSeconds = roundSeconds
      self.localSeconds = localSeconds
      self.allReduceSeconds = allReduceSeconds
      self.interferenceSeconds = interferenceSeconds
      self.stepSeconds = stepSeconds
      self.sentBytes = sentBytes
      self.leastHiddenPeriod = leastHiddenPeriod
    }
  }

  package init(
    iterationSeconds: Double, timeSplit: TimeSplit, stageMemory: [StageMemory], verdict: Verdict,
    tokensPerSecondPerDevice: Double, modelFLOPUtilization: Double, outerRound: OuterRound? = nil,
    iterationSecondsRange: ClosedRange<Double>? = nil
  ) {
    self.iterationSecondsRange = iterationSecondsRange
    self.outerRound = outerRound
    self.iterationSeconds = iterationSeconds
    self.timeSplit = timeSplit
    self.stageMemory = stageMemory
    self.verdict = verdict
    self.tokensPerSecondPerDevice = tokensPerSecondPerDevice
    self.modelFLOPUtilization = modelFLOPUtilization
  }

  /// The stage whose devices need most; the first of equals.
  package var tightestStageIndex: Int {
    stageMemory.indices.max { (stageMemory[$0].peakBytes, -$0) < (stageMemory[$1].peakBytes, -$1) } ?? 0
  }

  /// The largest peak of any device, bytes.
  package var peakBytes: Int { stageMemory.map(\.peakBytes).max() ?? 0 }
}

extension Prediction {
  package init(_ field: Field) throws(DocumentError) {
    var fields = try field.fields()
    iterationSeconds = try fields.required("iteration_seconds").positiveResult()
    let low = try fields.optional("iteration_seconds_low")?.positiveResult()
    let highField = fields.optional("iteration_seconds_high")
    let high = try highField?.positiveResult()
    if let low, let high {
      guard low <= high else {
        throw (highField ?? field).conflict("expected no less than iteration_seconds_low, found \(high)")
      }
      iterationSecondsRange = low...high
    }
    tokensPerSecondPerDevice = try fields.required("tokens_per_second_per_device").positiveResult()
    modelFLOPUtilization = try fields.required("model_flop_utilization").nonNegativeResult()
    verdict = try fields.required("verdict").choice(of: Verdict.self)
    var split = try fields.required("time").fields()
    timeSplit = TimeSplit(
      computeSeconds: try split.required("compute_seconds").nonNegativeResult(),
      recomputeSeconds: try split.required("recompute_seconds").nonNegativeResult(),
      launchSeconds: try split.required("launch_seconds").nonNegativeResult(),
      tensorSeconds: try split.required("tensor_seconds").nonNegativeResult(),
      pipelineSeconds: try split.required("pipeline_seconds").nonNegativeResult(),
      dataSeconds: try split.required("data_seconds").nonNegativeResult(),
      bubbleSeconds: try split.required("bubble_seconds").nonNegativeResult(),
      optimizerSeconds: try split.required("optimizer_seconds").nonNegativeResult(),
      fixedSeconds: try split.required("fixed_seconds").nonNegativeResult(),
      hostSeconds: try split.optional("host_seconds")?.nonNegativeResult() ?? 0,
      outerSeconds: try split.optional("outer_seconds")?.nonNegativeResult() ?? 0,
      contextSeconds: try split.optional("context_seconds")?.nonNegativeResult() ?? 0,
      expertSeconds: try split.optional("expert_seconds")?.nonNegativeResult() ?? 0)
    try split.finish()
    var stages: [StageMemory] = []
    for entry in try fields.required("stage_memory").array(count: 1...16_384) {
      stages.append(try StageMemory(entry))
    }
    stageMemory = stages
    outerRound = try fields.optional("outer_round").map { (field) throws(DocumentError) in try OuterRound(field) }
    try fields.finish()
  }

  package var json: JSON {
    object(
      ("iteration_seconds", .number(iterationSeconds)),
      ("iteration_seconds_low", iterationSecondsRange.map { .number($0.lowerBound) }),
      ("iteration_seconds_high", iterationSecondsRange.map { .number($0.upperBound) }),
      ("tokens_per_second_per_device", .number(tokensPerSecondPerDevice)),
      ("model_flop_utilization", .number(modelFLOPUtilization)), ("verdict", .string(verdict.rawValue)),
      ("time", .object(timeSplit.parts.map { JSONMember("\($0.name)_seconds", .number($0.seconds)) })),
      ("stage_memory", .array(stageMemory.map(\.json))), ("outer_round", outerRound?.json))
  }
}

extension Prediction.OuterRound {
  init(_ field: Field) throws(DocumentError) {
    var fields = try field.fields()
    roundSeconds = try fields.required("round_seconds").positiveResult()
    localSeconds = try fields.required("local_seconds").positiveResult()
    allReduceSeconds = try fields.required("all_reduce_seconds").nonNegativeResult()
    interferenceSeconds = try fields.required("interference_seconds").nonNegativeResult()
    stepSeconds = try fields.required("step_seconds").nonNegativeResult()
    sentBytes = try fields.required("sent_bytes").integer(in: 0...Int.max)
    leastHiddenPeriod = try fields.required("least_hidden_period").integer(in: 1...Int.max)
    try fields.finish()
  }

  var json: JSON {
    object(
      ("round_seconds", .number(roundSeconds)), ("local_seconds", .number(localSeconds)),
      ("all_reduce_seconds", .number(allReduceSeconds)), ("interference_seconds", .number(interferenceSeconds)),
      ("step_seconds", .number(stepSeconds)), ("sent_bytes", .integer(sentBytes)),
      ("least_hidden_period", .integer(leastHiddenPeriod)))
  }
}

extension Prediction.StageMemory {
  init(_ field: Field) throws(DocumentError) {
    var fields = try field.fields()
    func bytes(_ key: String) throws(DocumentError) -> Int {
      try fields.required(key).integer(in: 0...1_000_000_000_000_000_000)
    }
    weightBytes = try bytes("weights_bytes")
    gradientBytes = try bytes("gradients_bytes")
    optimizerBytes = try bytes("optimizer_bytes")
    activationBytes = try bytes("activations_bytes")
    workspaceBytes = try bytes("workspace_bytes")
    reservedBytes = try bytes("reserved_bytes")
    fragmentationBytes = try bytes("fragmentation_bytes")
    outerBytes = try fields.optional("outer_bytes")?.integer(in: 1...1_000_000_000_000_000_000) ?? 0
    hostBytes = try fields.optional("host_bytes")?.integer(in: 1...1_000_000_000_000_000_000) ?? 0
    // The sum is there for people; it must agree.
    let peak = try fields.required("peak_bytes")
    try fields.finish()
    var sum = 0
    for part in parts {
      let (next, overflow) = sum.addingReportingOverflow(part.bytes)
      guard !overflow else { throw field.error(expected: "bytes whose sum can be counted") }
      sum = next
    }
    guard try peak.integer(in: 0...Int.max) == sum else {
      throw peak.conflict("expected the sum of its parts, \(sum), found \(peak.value.briefDescription)")
    }
  }

  var json: JSON {
    .object(
      parts.map { JSONMember("\($0.name)_bytes", .integer($0.bytes)) } + [JSONMember("peak_bytes", .integer(peakBytes))]
        + (hostBytes > 0 ? [JSONMember("host_bytes", .integer(hostBytes))] : [])
    )
  }
}
