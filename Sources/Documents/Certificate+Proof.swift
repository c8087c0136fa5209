import JSONText

extension Certificate {
  /// What is proven of a strategy that was completed.
  package struct Proof: Sendable, Equatable {
    /// Why no other split of the layers is better.
    package enum Split: String, Sendable, CaseIterable {
      /// There is one split only: no pipeline, or equal chunks.
      case single
      /// The search among splits ended by itself: the others were evaluated, or have a bound that is not below.
      case exhausted
      /// The same with bounds of integer programs.
      case integerPrograms = "integer-programs"
      /// Nothing: the search among splits reached its limit, and its bound counts.
      case unproven
    }

    /// Why no other order of the nodes is better.
    package enum Order: String, Sendable, CaseIterable {
      /// Links between nodes were not measured, so that all nodes are alike.
      case alike
      /// Nothing: orders were not searched, see ``NodeArrangement/Reason``, or found
      /// by a heuristic. The bound holds for all orders.
      case unproven
      /// The strategy takes no longer than the bound that holds for all orders.
      case bound
      /// The same, and integer programs showed that the slowest link of no ring is faster.
      case integerPrograms = "integer-programs"
    }

    /// The strategy, see ``Strategy/text``.
    package let strategy: String
    /// What it multiplies in, where a plan may choose; nil where that is the job's.
    package private(set) var precision: Precision?
    /// Whether its stages choose for themselves.
    package let stagesChoose: Bool
    /// The best score that was found, seconds; nil when none was below what it had to beat.
    package let scoreSeconds: Double?
    /// No split and no order of the nodes scores less, seconds.
    package let lowerBoundSeconds: Double
    package let split: Split
    package let order: Order

    package init(
      strategy: String, stagesChoose: Bool, scoreSeconds: Double?, lowerBoundSeconds: Double, split: Split, order: Order
    ) {
      self.strategy = strategy
      self.stagesChoose = stagesChoose
      self.scoreSeconds = scoreSeconds
      self.lowerBoundSeconds = lowerBoundSeconds
      self.split = split
      self.order = order
    }

    /// How much better the strategy might be than what was found of it, as a share; 0 where nothing was found.
    package var gap: Double { scoreSeconds.map { Swift.max(0, 1 - lowerBoundSeconds / $0) } ?? 0 }

    /// The same of a strategy in one of several precisions.
    package func `in`(_ precision: Precision?) -> Proof {
      var proof = self
      proof.precision = precision
      return proof
    }

    init(_ field: Field) throws(DocumentError) {
      var fields = try field.fields()
      strategy = try fields.required("strategy").string()
      precision = try fields.optional("precision")?.choice(of: Precision.self)
      stagesChoose = try fields.required("stages_choose").boolean()
      scoreSeconds = try fields.optional("score_seconds")?.positiveResult()
      lowerBoundSeconds = try fields.required("lower_bound_seconds").nonNegativeResult()
      split = try fields.required("split").choice(of: Split.self)
      order = try fields.required("order").choice(of: Order.self)
      try fields.finish()
    }

    var json: JSON {
      object(
        ("strategy", .string(strategy)), ("precision", precision.map { .string($0.rawValue) }),
        ("stages_choose", .boolean(stagesChoose)),
        ("score_seconds", scoreSeconds.map(JSON.number)), ("lower_bound_seconds", .number(lowerBoundSeconds)),
        ("split", .string(split.rawValue)), ("order", .string(order.rawValue)))
    }
  }
}
