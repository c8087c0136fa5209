import Documents
import Training

/// What an edit makes of a step.
enum StepEdit {
  case keep(waitsFor: [Int])
  case operation(ProgramStep.Operation)
}

extension ProgramStep {
  var isCollective: Bool { if case .collective = operation { true } else { false } }
  var isSend: Bool { if case .send = operation { true } else { false } }
  var isReceive: Bool { if case .receive = operation { true } else { false } }
  func isCompute(_ computation: Computation) -> Bool { operation == .compute(computation) }
  func isCollective(_ operand: Operand) -> Bool {
    if case .collective(let it) = operation { it.operand == operand } else { false }
  }
  /// - Parameter tensor: what a report calls it.
  func isCollective(_ tensor: String) -> Bool {
    if case .collective(let it) = operation { "\(it.operand)" == tensor } else { false }
  }

  /// The same step as a computation that does nothing in a pass: what a dropped step leaves, so that all others keep
  /// their indices. Steps that waited for it wait no longer.
  fileprivate func replacing(_ operation: Operation) -> ProgramStep {
    ProgramStep(stream: stream, operation: operation, waitsFor: waitsFor)
  }
}

extension RankProgram {
  /// Takes a step out; what waited for it waits for what it waited for.
  mutating func remove(_ index: Int) {
    let removed = steps.remove(at: index)
    for later in index..<steps.count {
      let step = steps[later]
      var waits: [Int] = []
      for wait in step.waitsFor {
        let heirs = wait == index ? removed.waitsFor : [wait > index ? wait - 1 : wait]
        for heir in heirs where steps[heir].stream != step.stream && !waits.contains(heir) { waits.append(heir) }
      }
      steps[later] = ProgramStep(stream: step.stream, operation: step.operation, waitsFor: waits)
    }
  }

  /// Puts a copy of a step right after it.
  mutating func insertCopy(of index: Int) {
    steps.insert(steps[index], at: index + 1)
    for later in index + 2..<steps.count {
      let step = steps[later]
      steps[later] = ProgramStep(
        stream: step.stream, operation: step.operation, waitsFor: step.waitsFor.map { $0 > index ? $0 + 1 : $0 })
    }
  }
}

extension [RankProgram] {
  mutating func removePart(_ part: ModelPart, of ranks: [Int]) -> Bool {
    for rank in ranks {
      guard let index = self[rank].parts.firstIndex(of: part) else { return false }
      self[rank].parts.remove(at: index)
    }
    return true
  }

  mutating func edit(
    _ rank: Int, where matches: (ProgramStep) -> Bool, _ edit: (ProgramStep, Int) -> StepEdit
  ) -> Bool {
    guard let index = self[rank].steps.firstIndex(where: matches) else { return false }
    let step = self[rank].steps[index]
    switch edit(step, index) {
    case .keep(let waits):
      self[rank].steps[index] = ProgramStep(stream: step.stream, operation: step.operation, waitsFor: waits)
    case .operation(let operation): self[rank].steps[index] = step.replacing(operation)
    }
    return true
  }

  mutating func editCollective(
    _ rank: Int, _ matches: (Collective) -> Bool, _ edited: (Collective) -> Collective
  ) -> Bool {
    edit(
      rank, where: { if case .collective(let it) = $0.operation { matches(it) } else { false } },
      { step, _ in
        guard case .collective(let it) = step.operation else { return .keep(waitsFor: step.waitsFor) }
        return .operation(.collective(edited(it)))
      })
  }

  mutating func editEverywhere(_ matches: (ProgramStep) -> Bool, _ edited: (Collective) -> Collective) -> Bool {
    var found = false
    for rank in indices {
      for (index, step) in self[rank].steps.enumerated() where matches(step) {
        guard case .collective(let it) = step.operation else { continue }
        self[rank].steps[index] = step.replacing(.collective(edited(it)))
        found = true
      }
    }
    return found
  }

  mutating func editTransfer(_ rank: Int, isSend: Bool, _ edited: (Transfer) -> Transfer) -> Bool {
    edit(
      rank, where: isSend ? \.isSend : \.isReceive,
      { step, _ in
        switch step.operation {
        case .send(let it): .operation(.send(edited(it)))
        case .receive(let it): .operation(.receive(edited(it)))
        default: .keep(waitsFor: step.waitsFor)
        }
      })
  }

  mutating func drop(_ rank: Int, where matches: (ProgramStep) -> Bool) -> Bool {
    guard let index = self[rank].steps.firstIndex(where: matches) else { return false }
    self[rank].remove(index)
    return true
  }

  mutating func dropLast(_ rank: Int, where matches: (ProgramStep) -> Bool) -> Bool {
    guard let index = self[rank].steps.lastIndex(where: matches) else { return false }
    self[rank].remove(index)
    return true
  }

  mutating func dropEverywhere(_ matches: (ProgramStep) -> Bool) -> Bool {
    var found = false
    for rank in indices {
      while let index = self[rank].steps.firstIndex(where: matches) {
        self[rank].remove(index)
        found = true
      }
    }
    return found
  }

  mutating func double(_ rank: Int, where matches: (ProgramStep) -> Bool) -> Bool {
    guard let index = self[rank].steps.firstIndex(where: matches) else { return false }
    self[rank].insertCopy(of: index)
    return true
  }

  /// Puts a copy of a step at the end.
  mutating func appendCopy(_ rank: Int, where matches: (ProgramStep) -> Bool) -> Bool {
    guard let step = self[rank].steps.first(where: matches) else { return false }
    self[rank].steps.append(step.replacing(step.operation))
    return true
  }

  /// Exchanges what the first two matching steps that differ do.
  mutating func exchange(_ rank: Int, where matches: (ProgramStep) -> Bool) -> Bool {
    guard let first = self[rank].steps.firstIndex(where: matches) else { return false }
    let left = self[rank].steps[first]
    guard
      let second = self[rank].steps.firstIndex(where: { matches($0) && $0.operation != left.operation })
    else { return false }
    let right = self[rank].steps[second]
    self[rank].steps[first] = left.replacing(right.operation)
    self[rank].steps[second] = right.replacing(left.operation)
    return true
  }
}

extension Collective {
  func with(
    kind: CollectiveKind? = nil, operand: Operand? = nil, group: [Int]? = nil, elementCount: Int? = nil,
    elementByteCount: Int? = nil, reduction: Reduction? = nil, route: Route? = nil,
    quantisation: Quantisation?? = nil
  ) -> Collective {
    Collective(
      kind ?? self.kind, of: operand ?? self.operand, over: group ?? self.group,
      elementCount: elementCount ?? self.elementCount,
      elementByteCount: elementByteCount ?? self.elementByteCount, traffic: traffic,
      reduction: reduction ?? self.reduction, route: route ?? self.route,
      quantisation: quantisation ?? self.quantisation)
  }
}

extension Transfer {
  func with(peer: Int? = nil, target: PipelineStep? = nil, elementCount: Int? = nil) -> Transfer {
    Transfer(
      peer: peer ?? self.peer, source: source, target: target ?? self.target,
      elementCount: elementCount ?? self.elementCount, elementByteCount: elementByteCount)
  }
}
