package import Documents

/// Products of a plan whose blocks multiply in a narrow format.
package struct NarrowProducts: Sendable, Equatable {
  /// A width of a linear layer as a rank has it, or its tokens.
  package struct Width: Sendable, Equatable {
    /// What it is of, such as `feed-forward`.
    package let what: String
    package let count: Int
  }

  package let precision: Precision
  /// Whether a miniature's products are in the format as well: otherwise they are of what is stored.
  package let areExecuted: Bool
  /// Whether the plan has the output head's products in the format, and attention's in FP8, which a miniature has not.
  package let narrowsHead, narrowsAttention: Bool
  /// The format in which replicas gather weights of products that they have cast; nil where they gather weights as they are
  /// stored, and cast them afterwards.
  package let gatheredFormat: ProductFormat?
  /// Numbers along a sum that have a scale together; nil where those of a whole tensor have.
  package let blockLength: Int?
  /// What on a rank is not a multiple of them: Transformer Engine's blocks are whole ones.
  package let widthsOffBlocks: [Width]

  /// Nil of a plan that multiplies what it stores.
  init?(of plan: Plan) {
    precision = plan.job.precision
    guard precision.products != nil else { return nil }
    // Losses without gradients, and workers, have no reference that casts.
    areExecuted = plan.strategy.update == .firstOrder
    (narrowsHead, narrowsAttention) = (plan.job.narrowsHead, plan.job.narrowsAttention)
    gatheredFormat = plan.strategy.gatheredFormat(plan.job)
    guard case .run(let length) = CastRules(precision)[.input]?.block else {
      blockLength = nil
      widthsOffBlocks = []
      return
    }
    blockLength = length
    widthsOffBlocks = Self.widths(of: plan.job, plan.strategy).filter { $0.count % length != 0 }
  }

  /// Inputs and outputs of linear layers on a rank, and the tokens of a micro-batch, which gradients of weights sum over; not the
  /// rows of experts, which frameworks fill up.
  private static func widths(of job: TrainingJob, _ strategy: Strategy) -> [Width] {
    let model = job.model, t = strategy.tensorDegree
    var widths = [Width(what: "hidden size", count: model.hiddenSize)]
    func add(_ what: String, _ count: Int) { widths.append(Width(what: what, count: count)) }
    if let latent = model.latent {
      if let rank = latent.queryRank { add("narrow queries", rank) }
      add("narrow keys and values", latent.keyValueRank)
      add("narrow keys and values with what turns", latent.keyValueRank + latent.rotarySize)
      add("queries", model.querySize / t)
      add("keys and values", model.headCount * (latent.plainSize + latent.valueSize) / t)
    } else {
      // Frameworks have all three, and what gates heads, in one layer.
      let gate = model.form.hasOutputGate ? model.contextSize : 0
      add("queries, keys and values", (model.querySize + 2 * model.keyValueSize + gate) / t)
    }
    add("attention output", model.contextSize / t)
    if (0..<model.layerCount).contains(where: { model.kind(ofLayer: $0).feedForward == .dense }) {
      add("feed-forward", model.feedForwardSize / t)
    }
    if let experts = model.experts {
      add("experts", experts.feedForwardSize / strategy.expertTensorDegree)
      if experts.sharedFeedForwardSize > 0 { add("shared experts", experts.sharedFeedForwardSize / t) }
      if let width = experts.latentSize { add("what experts read", width) }
    }
    add("tokens of a micro-batch", strategy.tokenCount(job))
    return widths
  }
}
