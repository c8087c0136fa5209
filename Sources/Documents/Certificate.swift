package import JSONText

/// How sure a search is of its answer: what was looked at, and what no strategy can beat.
package struct Certificate: Sendable, Equatable {
  /// Why the search ended.
  package enum Ending: String, Sendable, CaseIterable {
    /// Every strategy is completed, or closed by a bound that is not below the answer.
    case exhausted
    /// The limit on completions was reached.
    case completionLimit = "completion-limit"
    /// The wall-clock limit was reached: another run may end elsewhere.
    case timeLimit = "time-limit"
    /// Somebody interrupted it.
    case interrupted
  }

  /// Why strategies were left out, and how many.
  package struct Rejection: Sendable, Equatable {
    package let rule: String
    package let count: Int

    package init(rule: String, count: Int) {
      self.rule = rule
      self.count = count
    }
  }

  package let ending: Ending
  /// No strategy of the lattice scores below this, seconds.
  package let lowerBoundSeconds: Double
  /// The answer's own score: its iteration time, with the surcharge for little headroom.
  package let scoreSeconds: Double
  /// The best score that was found: the answer may be slower by the question's margin, to be plainer.
  package let fastestScoreSeconds: Double
  /// Points of the lattice.
  package let enumeratedCount: Int
  /// Left out before pricing, by rule, ordered by rule.
  package let rejections: [Rejection]
  /// Left out because no split of the layers fits into memory.
  package let memoryRejectedCount: Int
  /// Closed because their bound is not below the answer.
  package let closedByBoundCount: Int
  /// Given their best split of layers and priced exactly.
  package let completedCount: Int
  /// Completed ones of which a better split, or a better order of the nodes, was not
  /// ruled out: their own bound counts in ``lowerBoundSeconds``.
  package let unprovenCount: Int
  /// Integer programs that GLPK solved for splits whose stages choose for themselves.
  package let programCount: Int
  /// Strategies that were looked at once more, since a plainer answer within the margin might be among them.
  package let plainerCount: Int
  /// Steps after which the search was stopped from outside, so that it can be repeated: a lattice priced, a look at a
  /// strategy. Nil where it ended by itself.
  package let stoppedAfter: Int?
  /// What is proven of every completed strategy, in the order in which they were completed; empty where nobody asked.
  package let proofs: [Proof]

  package init(
    ending: Ending, lowerBoundSeconds: Double, scoreSeconds: Double, fastestScoreSeconds: Double? = nil,
    enumeratedCount: Int, rejections: [Rejection], memoryRejectedCount: Int, closedByBoundCount: Int,
    completedCount: Int, unprovenCount: Int, programCount: Int = 0, plainerCount: Int = 0, stoppedAfter: Int? = nil,
    proofs: [Proof] = []
  ) {
    self.ending = ending
    self.lowerBoundSeconds = lowerBoundSeconds
    self.scoreSeconds = scoreSeconds
    self.fastestScoreSeconds = fastestScoreSeconds ?? scoreSeconds
    self.enumeratedCount = enumeratedCount
    self.rejections = rejections
    self.memoryRejectedCount = memoryRejectedCount
    self.closedByBoundCount = closedByBoundCount
    self.completedCount = completedCount
    self.unprovenCount = unprovenCount
    self.programCount = programCount
    self.plainerCount = plainerCount
    self.stoppedAfter = stoppedAfter
    self.proofs = proofs
  }

  /// How far the answer may be from the best, as a share of the answer; 0 is proven optimal under the model.
  ///
  /// It is what the proof leaves open, ``proofGap``, and what a plainer answer gives up, ``plainnessCost``.
  package var gap: Double { Self.share(of: scoreSeconds, above: lowerBoundSeconds) }

  /// How far the fastest strategy that was found may be from the best, as a share of its score.
  package var proofGap: Double { Self.share(of: fastestScoreSeconds, above: lowerBoundSeconds) }

  /// What the answer gives up against the fastest to be plainer, as a share of the answer's score.
  package var plainnessCost: Double { Self.share(of: scoreSeconds, above: fastestScoreSeconds) }

  private static func share(of score: Double, above other: Double) -> Double {
    score > 0 ? Swift.max(0, 1 - other / score) : 0
  }

  package init(_ field: Field) throws(DocumentError) {
    var fields = try field.fields()
    let count = 0...Int.max
    ending = try fields.required("ending").choice(of: Ending.self)
    lowerBoundSeconds = try fields.required("lower_bound_seconds").nonNegativeResult()
    let scoreField = try fields.required("score_seconds")
    scoreSeconds = try scoreField.nonNegativeResult()
    fastestScoreSeconds = try fields.optional("fastest_score_seconds")?.nonNegativeResult() ?? scoreSeconds
    guard fastestScoreSeconds <= scoreSeconds else {
      throw scoreField.conflict("the answer scores less than the fastest")
    }
    let gapField = try fields.required("gap")
    let statedGap = try gapField.fractionOrZero()
    enumeratedCount = try fields.required("enumerated").integer(in: count)
    var rejections: [Rejection] = []
    for entry in try fields.required("rejected").array(count: 0...64) {
      var rejection = try entry.fields()
      rejections.append(
        Rejection(
          rule: try rejection.required("rule").name(), count: try rejection.required("count").integer(in: count)))
      try rejection.finish()
    }
    self.rejections = rejections
    memoryRejectedCount = try fields.required("rejected_by_memory").integer(in: count)
    closedByBoundCount = try fields.required("closed_by_bound").integer(in: count)
    completedCount = try fields.required("completed").integer(in: count)
    unprovenCount = try fields.required("unproven").integer(in: count)
    programCount = try fields.optional("programs")?.integer(in: count) ?? 0
    plainerCount = try fields.optional("plainer")?.integer(in: count) ?? 0
    stoppedAfter = try fields.optional("stopped_after")?.integer(in: count)
    var proofs: [Proof] = []
    for entry in try fields.optional("proofs")?.array(count: 0...100_000) ?? [] { proofs.append(try Proof(entry)) }
    self.proofs = proofs
    try fields.finish()
    guard abs(statedGap - gap) <= 1e-12 else {
      throw gapField.conflict("the gap \(statedGap) does not follow from the score and its bound, which leave \(gap)")
    }
  }

  package var json: JSON {
    object(
      ("ending", .string(ending.rawValue)), ("lower_bound_seconds", .number(lowerBoundSeconds)),
      ("score_seconds", .number(scoreSeconds)),
      ("fastest_score_seconds", fastestScoreSeconds < scoreSeconds ? .number(fastestScoreSeconds) : nil),
      ("gap", .number(gap)), ("enumerated", .integer(enumeratedCount)),
      (
        "rejected",
        .array(rejections.map { object(("rule", .string($0.rule)), ("count", .integer($0.count))) })
      ),
      ("rejected_by_memory", .integer(memoryRejectedCount)), ("closed_by_bound", .integer(closedByBoundCount)),
      ("completed", .integer(completedCount)), ("unproven", .integer(unprovenCount)),
      ("programs", programCount > 0 ? .integer(programCount) : nil),
      ("plainer", plainerCount > 0 ? .integer(plainerCount) : nil), ("stopped_after", stoppedAfter.map(JSON.integer)),
      ("proofs", proofs.isEmpty ? nil : .array(proofs.map(\.json))))
  }
}
