import Documents

/// A forward pass of one micro-batch layer by layer beside a backward pass of another (Megatron Core's
/// `model_chunk_schedule_plan.py`): while one's tokens are on their way to their experts or back, the other computes.
extension ProgramLowering {
  /// What a pass through a block with experts consists of, cut where tokens leave ranks and come to them.
  private struct Stretches {
    let pass: Recipe.Pass
    /// Up to where tokens leave for their experts.
    let before: ArraySlice<Recipe.Step>
    /// Out, through the experts, and back.
    let out: ArraySlice<Recipe.Step>
    let experts: ArraySlice<Recipe.Step>
    let back: ArraySlice<Recipe.Step>
    /// What follows.
    let after: ArraySlice<Recipe.Step>

    init?(_ pass: Recipe.Pass, _ steps: [Recipe.Step]) {
      func isExperts(_ step: Recipe.Step) -> Bool { if case .piece(.experts, _) = step { true } else { false } }
      func isWay(_ step: Recipe.Step) -> Bool {
        if case .collective(let it) = step { it.traffic == .expert } else { false }
      }
      guard let place = steps.firstIndex(where: isExperts) else { return nil }
      let first = steps[..<place].lastIndex { !isWay($0) }.map { $0 + 1 } ?? 0
      let last = steps[(place + 1)...].firstIndex { !isWay($0) } ?? steps.count
      self.pass = pass
      before = steps[..<first]
      out = steps[first..<place]
      experts = steps[place...place]
      back = steps[place + 1..<last]
      after = steps[last...]
    }
  }

  /// In each step forward layer i meets backward layer n − 1 − i. Computation goes in the order attention forward, experts
  /// backward, experts forward, attention backward; tokens in the order combine backward, dispatch forward, dispatch backward,
  /// combine forward. Layers without experts, embedding, head and further predictions run whole.
  mutating func combine(_ forward: PipelineStep, with backward: PipelineStep) {
    compute(.beginPass(forward))
    let begun = latestStep
    compute(.beginPass(backward))
    var lanes = (forward: begun, backward: latestStep)
    func isLayer(_ part: ModelPart) -> Bool { if case .layer = part { true } else { false } }
    func isEnd(_ part: ModelPart) -> Bool { ending.contains(part) }
    let ahead = passParts(forward), behind = Array(passParts(backward).reversed())
    let forwards = ahead.filter(isLayer), backwards = behind.filter(isLayer)

    for part in ahead where part == .embedding { runForward(part, forward, &lanes.forward) }
    for part in behind where isEnd(part) { runBackward(part, backward, &lanes.backward) }
    for index in 0..<max(forwards.count, backwards.count) {
      let left = index < forwards.count ? forwards[index] : nil
      let right = index < backwards.count ? backwards[index] : nil
      if let left, let right, grain == .pieces,
        let out = Stretches(.forward, shape.steps(of: left, .forward)),
        let back = Stretches(.backward, shape.steps(of: right, .backward)), !shape.recomputes(right),
        // Weights that are gathered for one are given up before they are gathered for the other.
        left != right || sharding.weightDegree == 1
      {
        meet(left, forward, out, right, backward, back, &lanes)
      } else {
        if let left { runForward(left, forward, &lanes.forward) }
        if let right { runBackward(right, backward, &lanes.backward) }
      }
    }
    for part in ahead where isEnd(part) { runForward(part, forward, &lanes.forward) }
    for part in behind where part == .embedding { runBackward(part, backward, &lanes.backward) }
    follow(lanes.forward)
    compute(.endPass(forward))
    follow(lanes.backward)
    let ended = compute(.endPass(backward))
    send(forward, after: ended)
    send(backward, after: ended)
  }

  private mutating func meet(
    _ left: ModelPart, _ forward: PipelineStep, _ out: Stretches, _ right: ModelPart, _ backward: PipelineStep,
    _ back: Stretches, _ lanes: inout (forward: Int?, backward: Int?)
  ) {
    waitForReductions(before: right)
    gatherNow(right, .backward)
    gatherNow(left, .forward)
    if shape.runsAgain(right) {
      follow(lanes.backward)
      perform([.recompute], of: right, in: backward)
      lanes.backward = latestStep
    }
    run(back, \.before, of: right, in: backward, &lanes.backward)
    run(back, \.out, of: right, in: backward, &lanes.backward)
    run(out, \.before, of: left, in: forward, &lanes.forward)
    run(out, \.out, of: left, in: forward, &lanes.forward)
    run(back, \.experts, of: right, in: backward, &lanes.backward)
    run(back, \.back, of: right, in: backward, &lanes.backward)
    run(out, \.experts, of: left, in: forward, &lanes.forward)
    run(out, \.back, of: left, in: forward, &lanes.forward)
    run(back, \.after, of: right, in: backward, &lanes.backward)
    run(out, \.after, of: left, in: forward, &lanes.forward)
    for part in [right, left] { drop(part) }
    reduceGradient(of: right)
  }

  private mutating func run(
    _ stretches: Stretches, _ steps: KeyPath<Stretches, ArraySlice<Recipe.Step>>, of part: ModelPart,
    in step: PipelineStep, _ lane: inout Int?
  ) {
    follow(lane)
    perform(stretches[keyPath: steps], stretches.pass, of: part, in: step)
    lane = latestStep
  }

  private mutating func runForward(_ part: ModelPart, _ step: PipelineStep, _ lane: inout Int?) {
    follow(lane)
    gatherNow(part, .forward)
    perform([.forward], of: part, in: step)
    dropWeights(after: part, .forward)
    lane = latestStep
  }

  private mutating func runBackward(_ part: ModelPart, _ step: PipelineStep, _ lane: inout Int?) {
    follow(lane)
    waitForReductions(before: part)
    gatherNow(part, .backward)
    perform(shape.passesBack(through: part), of: part, in: step)
    dropWeights(after: part, .backward)
    reduceGradient(of: part)
    lane = latestStep
  }
}
