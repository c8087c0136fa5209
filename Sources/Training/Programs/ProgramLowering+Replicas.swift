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
  mutating func gatherAhead(
    _ ahead: inout ArraySlice<ModelPart>, of part: ModelPart, _ direction: Recipe.Operation.Direction
  ) {
    guard sharding.weightDegree > 1 else { return }
    if ahead.first == part { gatherNext(&ahead, direction) }
    for needed in weightsNeeded(by: part, direction) { waitNext(for: gathers[needed]) }
    gatherNext(&ahead, direction)
  }

  /// Lets the gathers of a part begin, and the next computation wait for them.
  mutating func gatherNow(_ part: ModelPart, _ direction: Recipe.Operation.Direction) {
    guard sharding.weightDegree > 1 else { return }
    for needed in weightsNeeded(by: part, direction) {
      gather(needed)
      waitNext(for: gathers[needed])
    }
  }

  private mutating func gatherNext(
    _ ahead: inout ArraySlice<ModelPart>, _ direction: Recipe.Operation.Direction
  ) {
    guard let next = ahead.popFirst() else { return }
    for needed in weightsNeeded(by: next, direction) { gather(needed) }
  }

  /// What has to be gathered when a part is come to: a block needs its routed experts. Further predictions use the head's
  /// matrix, and as a tied head does the embedding's table on the embedding's stage: those are gathered with the first of them
  /// in a pass, and stay to the last.
  func weightsNeeded(by part: ModelPart, _ direction: Recipe.Operation.Direction) -> [ModelPart] {
    guard ending.contains(part) else { return shape.withExperts(part, rank: rank) }
    let isFirst = part == (direction == .forward ? ending.first : ending.last)
    let shared: [ModelPart] = isFirst ? (shape.sharesTokenTable ? [.embedding, .head] : [.head]) : []
    return part == .head ? shared : shared + shape.withExperts(part, rank: rank)
  }

  /// Gives up what nothing in the pass needs any more once a part is done.
  mutating func dropWeights(after part: ModelPart, _ direction: Recipe.Operation.Direction) {
    guard ending.contains(part) else { return drop(part) }
    if part != .head { drop(part) }
    guard part == (direction == .forward ? ending.last : ending.first) else { return }
    drop(.head)
    if shape.sharesTokenTable { drop(.embedding) }
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
    for needed in weightsNeeded(by: part, .forward) where keptParts.insert(needed).inserted {
      compute(.keepSecondary(needed))
    }
  }

  // MARK: Sharded gradients are reduced in every micro-batch

  /// Before a part runs backward, the last gradients must have been taken of all that it writes: its own, and of the first that
  /// uses the head's matrix, or the embedding's table beside it, those.
  mutating func waitForReductions(before part: ModelPart) {
    waitForReduction(of: part)
    guard part == ending.last else { return }
    if part != .head { waitForReduction(of: .head) }
    if shape.sharesTokenTable { waitForReduction(of: .embedding) }
  }

  /// A part's gradient is written again only when its last one has been taken; and while one part's is reduced only one more
  /// is written, or every part's would be held whole.
  private mutating func waitForReduction(of part: ModelPart) {
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
