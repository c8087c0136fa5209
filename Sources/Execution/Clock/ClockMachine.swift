import Training

/// A rank whose steps take virtual time: computations for as long as the cost model says,
/// transfers and collectives for as long as their links let them.
struct ClockMachine: Machine {
  /// When a step began and ended, seconds from the beginning of the iteration.
  struct Slice: Sendable {
    let step: Int
    let startSeconds: Double
    /// When it had all that it waits for of other ranks: when a message was sent, or
    /// the last member of a collective had come.
    let metSeconds: Double
    let endSeconds: Double
  }

  private let place: Int
  private let setting: ClockSetting
  /// Every step that has ended, by its end.
  private(set) var slices: [Slice] = []
  /// By stream: when the step under way began; nil where none is.
  private var begun: [Double?] = ClockMachine.idle

  private static let idle = [Double?](repeating: nil, count: ProgramStep.Stream.allCases.count)

  /// - Parameter place: of the rank among those that are simulated.
  init(place: Int, setting: ClockSetting, stepCount: Int) {
    self.place = place
    self.setting = setting
    slices.reserveCapacity(stepCount)
  }

  mutating func beginIteration() {
    slices = []
    begun = Self.idle
  }

  mutating func perform(
    _ index: Int, of program: PreparedProgram, on medium: ClockMedium
  ) throws(ExecutionFailure) -> Bool {
    let step = program.program.steps[index], stream = step.stream.index
    let seat = ClockMedium.Seat(place: place, stream: stream)
    switch step.operation {
    case .compute, .upload, .offload:
      guard let start = begun[stream] else {
        let seconds = setting.seconds(of: step.operation, place: place)
        guard seconds > 0 else { return ended(index, on: stream, since: medium.now, medium) }
        begun[stream] = medium.now
        medium.end(seat, after: seconds)
        return false
      }
      return medium.takeFinished(seat) != nil && ended(index, on: stream, since: start, medium)
    case .collective(let collective):
      guard let start = begun[stream] else {
        begun[stream] = medium.now
        medium.meet(
          seat, identity: program.identities[index],
          memberCount: setting.memberCount(collective),
          byteCount: collective.elementCount * collective.elementByteCount
        ) { setting.price(of: collective, place: place) }
        return false
      }
      guard let met = medium.takeFinished(seat) else { return false }
      return ended(index, on: stream, since: start, met: met, medium)
    case .send(let transfer):
      guard let receiver = setting.place(ofRank: transfer.peer) else {
        return ended(index, on: stream, since: medium.now, medium)
      }
      medium.send(
        ClockMedium.Letter(identity: program.identities[index], sentSeconds: medium.now, senderStep: index),
        from: place, to: receiver, stream: stream, setting.price(of: transfer, from: place, to: receiver),
        byteCount: transfer.elementCount * transfer.elementByteCount)
      return ended(index, on: stream, since: medium.now, medium)
    case .receive(let transfer):
      if begun[stream] == nil { begun[stream] = medium.now }
      guard let sender = setting.place(ofRank: transfer.peer),
        let letter = medium.take(at: place, from: sender, stream: stream)
      else { return false }
      guard letter.identity == program.identities[index] else {
        throw .mismatch(
          Mismatch(
            rank: program.program.rank, step: index, what: step, sender: transfer.peer,
            senderStep: letter.senderStep))
      }
      return ended(index, on: stream, since: begun[stream] ?? medium.now, met: letter.sentSeconds, medium)
    }
  }

  func awaitedRank(_ index: Int, of program: PreparedProgram, on medium: ClockMedium) -> Int? {
    switch program.program.steps[index].operation {
    case .receive(let transfer): return transfer.peer
    case .collective(let collective):
      let present = medium.present(at: program.identities[index])
      return collective.group.first { rank in setting.place(ofRank: rank).map { !present.contains($0) } ?? false }
    case .compute, .send, .upload, .offload: return nil
    }
  }

  private mutating func ended(
    _ index: Int, on stream: Int, since start: Double, met: Double? = nil, _ medium: ClockMedium
  ) -> Bool {
    slices.append(Slice(step: index, startSeconds: start, metSeconds: met ?? start, endSeconds: medium.now))
    begun[stream] = nil
    return true
  }
}
