import Documents
import Training

/// A rank's tensors: steps compute on them, collectives and transfers send and add their numbers.
struct NumericMachine: Machine {
  /// A collective that has begun.
  fileprivate struct Running {
    var buffer: [Float]
    /// Of an all-to-all, whose send buffer stays as it is: what has come, by sender.
    var received: [Float]?
    var round = 0
    /// Whether the messages of the round were sent.
    var hasSent = false
    /// Receipts of the round that are done.
    var receiptCount = 0
    /// Addends that wait to be added up in the order of ranks, by sender.
    var collected: [Int: [(range: Range<Int>, elements: [Float])]] = [:]
  }

  let number: Int
  /// The rank's part of every collective, by step.
  private var shares: [CollectiveShare?]
  /// All ranks' steps' numbers, see ``PreparedProgram/identities``: what a message's step must agree with.
  private var meetings: [[Int]]
  var state: RankState
  /// Bytes sent in the iterations so far, by receiver and kind.
  private(set) var sentBytes: [Int]
  /// Bytes of weights that came from the host in the iterations so far, and that went there.
  private(set) var uploadedBytes = 0
  private(set) var offloadedBytes = 0
  /// Passes waited for or done in the iteration.
  private(set) var clock = 0
  /// Passes ended in the iteration.
  private(set) var passCount = 0

  private var running: [Running?]
  /// Of a gather of weights that are cast before, what ranks tell each other of them.
  var told: [ToldLargest?]
  /// Bytes of that in the iterations so far: apart from those that are counted, see ``MiniatureRun/shareLargest()``.
  var toldBytes = 0
  /// Of a routed exchange that has begun, what has come from each rank of its group so far.
  var routed: [RoutedRows?]?
  /// The clock when a pass' input was sent, and when a pass ended here.
  private var arrivalTicks: [PipelineStep: Int] = [:]
  private var endTicks: [PipelineStep: Int] = [:]
  /// Passes that run together, each with the other.
  private let partners: [PipelineStep: PipelineStep]

  init(_ prepared: PreparedProgram, shares: [CollectiveShare?], all: [PreparedProgram], setting: ExecutionSetting) {
    number = prepared.program.rank
    self.shares = shares
    meetings = all.map(\.identities)
    state = RankState(
      setting: setting, place: setting.shape.mesh.coordinates(ofRank: number), parts: prepared.program.parts)
    sentBytes = [Int](repeating: 0, count: setting.shape.mesh.worldSize * TrafficKind.allCases.count)
    running = [Running?](repeating: nil, count: prepared.streams.count)
    told = [ToldLargest?](repeating: nil, count: prepared.streams.count)
    let schedule = setting.shape.schedule, stage = state.place[.pipeline], passes = schedule.steps(ofStage: stage)
    var partners: [PipelineStep: PipelineStep] = [:]
    for index in passes.indices.dropLast() where schedule.isPaired(index, ofStage: stage) {
      partners[passes[index]] = passes[index + 1]
      partners[passes[index + 1]] = passes[index]
    }
    self.partners = partners
  }

  /// Takes up another program, with everything that the rank holds.
  mutating func load(shares: [CollectiveShare?], all: [PreparedProgram]) {
    self.shares = shares
    meetings = all.map(\.identities)
  }

  mutating func beginIteration() {
    arrivalTicks = [:]
    endTicks = [:]
    clock = 0
    passCount = 0
    state.beginIteration()
  }

  func awaitedRank(_ index: Int, of program: PreparedProgram, on _: Network) -> Int? {
    let step = program.program.steps[index]
    switch step.operation {
    case .receive(let transfer): return transfer.peer
    case .collective(let collective) where state.isRagged(collective): return awaitedSender(of: collective)
    case .collective(let collective):
      if let told = told[step.stream.index] { return told.awaitedRank }
      guard let running = running[step.stream.index], let share = shares[index], running.round < share.rounds.count
      else { return nil }
      let round = share.rounds[running.round]
      guard running.receiptCount < round.receipts.count else { return nil }
      return collective.group[round.receipts[running.receiptCount].from]
    case .compute, .send, .upload, .offload: return nil
    }
  }

  mutating func perform(
    _ index: Int, of program: PreparedProgram, on network: Network
  ) throws(ExecutionFailure) -> Bool {
    let step = program.program.steps[index]
    switch step.operation {
    case .compute(let computation):
      compute(computation)
      return true
    case .collective(let collective):
      if case .routed(let tensor) = collective.operand, state.isRagged(collective) {
        return try advanceRouted(collective, tensor, index, of: program, network)
      }
      return try advance(collective, index, of: program, network)
    case .send(let transfer):
      let elements = state.takeOutgoing(transfer.source)
      send(
        elements, to: transfer.peer, step: index, .pipeline, elementByteCount: transfer.elementByteCount,
        tick: endTicks[transfer.source] ?? clock, stream: step.stream, network)
      return true
    case .receive(let transfer):
      guard let message = network.take(at: number, from: transfer.peer, stream: step.stream.index)
      else { return false }
      try check(message, from: transfer.peer, index, of: program, elementCount: transfer.elementCount)
      arrivalTicks[transfer.target] = message.tick
      state.putArrived(message.elements, for: transfer.target)
      return true
    case .upload(let transfer):
      uploadedBytes += try check(state.upload(transfer.part), transfer, index, of: program)
      return true
    case .offload(let transfer):
      offloadedBytes += try check(state.offload(transfer.part), transfer, index, of: program)
      return true
    }
  }

  private mutating func compute(_ computation: Computation) {
    switch computation {
    case .beginPass(let pass):
      clock = max(clock, arrivalTicks[pass] ?? 0, partners[pass].flatMap { arrivalTicks[$0] } ?? 0)
    case .endPass(let pass):
      // Where backward passes are split, a whole one is two of its parts.
      let length = state.setting.shape.schedule.splitsBackward && pass.pass == .backward ? 2 : 1
      clock += length
      passCount += length
      endTicks[pass] = clock
      // What of a pair is ready goes out when both are.
      if pass.pass == .backward, let partner = partners[pass] { endTicks[partner] = clock }
    default: break
    }
    state.perform(computation)
  }

  mutating func send(
    _ elements: [Float], to receiver: Int, step: Int, _ traffic: TrafficKind, elementByteCount: Int, tick: Int = 0,
    stream: ProgramStep.Stream, rows: RoutedRows? = nil, _ network: Network
  ) {
    sentBytes[receiver * TrafficKind.allCases.count + traffic.index] += elements.count * elementByteCount
    network.put(
      Message(elements: elements, step: step, tick: tick, rows: rows), from: number, to: receiver, stream: stream.index)
  }

  /// A message is of the step that waits for it, or the ranks do not run the same thing.
  private func check(
    _ message: Message, from sender: Int, _ index: Int, of program: PreparedProgram, elementCount: Int
  ) throws(ExecutionFailure) {
    try checkMeeting(message, from: sender, index, of: program)
    guard message.elements.count == elementCount else {
      throw .size(
        rank: number, step: index, what: program.program.steps[index], expected: elementCount,
        found: message.elements.count)
    }
  }

  /// The sender runs the same step.
  func checkMeeting(
    _ message: Message, from sender: Int, _ index: Int, of program: PreparedProgram
  ) throws(ExecutionFailure) {
    guard meetings[sender][message.step] == program.identities[index] else {
      throw .mismatch(
        Mismatch(
          rank: number, step: index, what: program.program.steps[index], sender: sender, senderStep: message.step))
    }
  }

  /// Bytes of what was moved, which is what the step says.
  private func check(
    _ elementCount: Int, _ transfer: HostTransfer, _ index: Int, of program: PreparedProgram
  ) throws(ExecutionFailure) -> Int {
    guard elementCount == transfer.elementCount else {
      throw .size(
        rank: number, step: index, what: program.program.steps[index], expected: transfer.elementCount,
        found: elementCount)
    }
    return transfer.byteCount
  }

  // MARK: Collectives

  private mutating func advance(
    _ collective: Collective, _ index: Int, of program: PreparedProgram, _ network: Network
  ) throws(ExecutionFailure) -> Bool {
    let step = program.program.steps[index]
    guard let share = shares[index] else { throw .notAMember(rank: number, step: index, what: step) }
    let stream = step.stream.index
    var now: Running
    if let begun = running[stream] {
      now = begun
      running[stream] = nil
    } else {
      guard try tellLargest(of: collective, index, of: program, network) else { return false }
      now = Running(buffer: state.load(collective.operand, of: collective, chunk: share.chunk))
      guard now.buffer.count == collective.elementCount else {
        throw .size(
          rank: number, step: index, what: step, expected: collective.elementCount, found: now.buffer.count)
      }
      if collective.kind == .allToAll {
        // A rank's own part is no message.
        let own = (collective.group.firstIndex(of: number) ?? 0) * share.chunk.count
        var received = [Float](repeating: 0, count: collective.group.count * share.chunk.count)
        received.replaceSubrange(own..<own + share.chunk.count, with: now.buffer[share.chunk])
        now.received = received
      }
    }
    while now.round < share.rounds.count {
      let round = share.rounds[now.round]
      if !now.hasSent {
        for message in round.sends {
          send(
            Array(now.buffer[message.range]), to: collective.group[message.to], step: index, collective.traffic,
            elementByteCount: collective.elementByteCount, stream: step.stream, network)
        }
        now.hasSent = true
      }
      while now.receiptCount < round.receipts.count {
        let receipt = round.receipts[now.receiptCount]
        let sender = collective.group[receipt.from]
        guard let message = network.take(at: number, from: sender, stream: stream) else {
          running[stream] = now
          return false
        }
        try check(message, from: sender, index, of: program, elementCount: receipt.range.count)
        now.receive(message.elements, receipt.range, receipt.action, from: receipt.from)
        now.receiptCount += 1
      }
      if round.addsCollected { now.addCollected(own: collective.group.firstIndex(of: number) ?? 0) }
      now.round += 1
      now.hasSent = false
      now.receiptCount = 0
    }
    state.store(now.received ?? now.buffer, collective.operand, of: collective, chunk: share.chunk)
    return true
  }
}

extension NumericMachine.Running {
  fileprivate mutating func receive(
    _ elements: [Float], _ range: Range<Int>, _ action: CollectiveTransfer.Action, from sender: Int
  ) {
    if received != nil {
      received?.replaceSubrange(range, with: elements)
      return
    }
    switch action {
    case .copy: buffer.replaceSubrange(range, with: elements)
    case .add: for (element, addend) in zip(range, elements) { buffer[element] += addend }
    case .maximum: for (element, other) in zip(range, elements) { buffer[element] = max(buffer[element], other) }
    case .collect: collected[sender, default: []].append((range, elements))
    }
  }

  /// Adds up what ranks sent and this rank's own, in the order of the ranks.
  fileprivate mutating func addCollected(own: Int) {
    guard let ranges = collected.first?.value.map(\.range) else { return }
    let members = (Array(collected.keys) + [own]).sorted()
    for (piece, range) in ranges.enumerated() {
      let mine = Array(buffer[range])
      var sum = [Float](repeating: 0, count: range.count)
      for member in members {
        guard let addend = member == own ? mine : collected[member]?[piece].elements else { continue }
        for index in sum.indices { sum[index] += addend[index] }
      }
      buffer.replaceSubrange(range, with: sum)
    }
    collected = [:]
  }
}
