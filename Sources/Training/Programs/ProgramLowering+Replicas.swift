import Documents

/// What ranks exchange of weights and gradients.
extension ProgramLowering {
  /// Appends what a rank does of an exchange; nil where that is nothing.
  @discardableResult
  private mutating func exchange(
    _ exchange: Exchange, of part: ModelPart?, after waits: [Int], on stream: ProgramStep.Stream = .data
  ) -> Int? {
    var last: Int?
    for collective in shape.collectives(of: exchange, part: part, rank: rank) {
      last = append(.collective(collective), on: stream, after: waits)
    }
    return last
  }

  // MARK: Sharded weights come and go

  /// Lets the gathers of a part and of the one after it begin, and the next computation wait for the part's own.
  ///
  /// - Parameter ahead: parts of the pass that were not gathered yet; those that were are taken off.
  mutating func gatherAhead(_ ahead: inout ArraySlice<ModelPart>, of part: ModelPart) {
    guard sharding.weightDegree > 1 else { return }
    if ahead.first == part { gatherNext(&ahead) }
    for needed in weightsNeeded(by: part) { waitNext(for: gathers[needed]) }
    gatherNext(&ahead)
  }

  /// Lets the gathers of a part begin, and the next computation wait for them.
  mutating func gatherNow(_ part: ModelPart) {
    guard sharding.weightDegree > 1 else { return }
    for needed in weightsNeeded(by: part) {
      gather(needed)
      waitNext(for: gathers[needed])
    }
  }

  private mutating func gatherNext(_ ahead: inout ArraySlice<ModelPart>) {
    guard let next = ahead.popFirst() else { return }
    for needed in weightsNeeded(by: next) { gather(needed) }
  }

  /// A tied head on the embedding's stage uses the embedding's matrix, a block its routed experts.
  func weightsNeeded(by part: ModelPart) -> [ModelPart] {
    if part == .head, sharesMatrixInPlace { return [.embedding, .head] }
    return shape.withExperts(part, rank: rank)
  }

  private mutating func gather(_ part: ModelPart) {
    // The first gather of an iteration is of the weights that were updated; after it there may be slices nearer by.
    let moment: Moment = gatheredParts.insert(part).inserted ? .firstUse : .laterUse
    // Not before what was computed so far: a gathered part is held from here on. One from the host has been given its place.
    let after = uploads[part].map { [$0] } ?? lastComputation
    for gather in shape.exchanges(at: moment, of: part) { gathers[part] = exchange(gather, of: part, after: after) }
  }

  mutating func drop(_ part: ModelPart) {
    for needed in shape.withExperts(part, rank: rank) where gathers[needed] != nil {
      compute(.dropWeights(needed))
      gathers[needed] = nil
    }
  }

  /// Keeps slices of what was gathered for the first time.
  mutating func keepSecondary(for part: ModelPart) {
    guard sharding.secondaryDegree != nil else { return }
    for needed in weightsNeeded(by: part) where keptParts.insert(needed).inserted { compute(.keepSecondary(needed)) }
  }

  // MARK: Sharded gradients are reduced in every micro-batch

  /// A part's gradient is written again only when its last one has been taken; and while one part's is reduced only one more
  /// is written, or every part's would be held whole.
  mutating func waitForReduction(of part: ModelPart) {
    for it in shape.withExperts(part, rank: rank) { waitNext(for: reductions[it]) }
    waitNext(for: reductionOrder.dropLast().last)
  }

  mutating func reduceGradient(of part: ModelPart) {
    var end: Int?
    for it in shape.withExperts(part, rank: rank) {
      for reduction in shape.exchanges(at: .partBackward, of: it) {
        if let last = exchange(reduction, of: it, after: lastComputation) { (reductions[it], end) = (last, last) }
      }
    }
    if let end { reductionOrder.append(end) }
  }

  // MARK: Everything on the rank

  /// Begins what is exchanged at a moment, after all that was computed so far.
  mutating func launch(_ moment: Moment) {
    for whole in shape.exchanges(at: moment) {
      launched[moment] = exchange(whole, of: nil, after: lastComputation, on: .outer)
    }
  }

  /// Exchanges everything on the rank, and lets the next computation wait for that.
  mutating func exchangeAll(at moment: Moment) {
    let exchanges = shape.exchanges(at: moment), parts = parameters.entries.map(\.part)
    var done = lastComputation + (moment == .lastBackward ? reductions.values.sorted() : [])
    for whole in exchanges where !whole.isPartByPart {
      guard let index = exchange(whole, of: nil, after: done) else { continue }
      // Each follows the one before it on the stream; the next computation waits for a sum of replicas beside what it sums.
      done = whole.family == .replicas ? done + [index] : [index]
    }
    for part in parts {
      for ofPart in exchanges where ofPart.isPartByPart && ofPart.isOfExperts == part.isOfExperts {
        if let index = exchange(ofPart, of: part, after: done) { done.append(index) }
      }
    }
    follow(done.last)
    for index in done { waitNext(for: index) }
  }
}
