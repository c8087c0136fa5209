import Documents

/// Writes the program of one rank.
struct ProgramLowering {
  let shape: IterationShape
  let rank: Int
  let grain: RankProgram.Grain
  let place: Mesh.Coordinates
  let parameters: StageParameters
  let tensorGroup: RankGroup
  let pipelineGroup: RankGroup
  /// The head, and further predictions behind it, of which some rank holds all.
  let ending: [ModelPart]
  var steps: [ProgramStep] = []
  /// The last step of each stream.
  private var last: [ProgramStep.Stream: Int] = [:]
  /// The last step whose result the next step of a pass works on.
  private var latest: Int?
  /// What the next computation waits for beyond its predecessor.
  private var pendingWaits: [Int] = []
  /// The gather of each part's weights that is under way or done.
  var gathers: [ModelPart: Int] = [:]
  /// The last reduction of each part's gradient.
  var reductions: [ModelPart: Int] = [:]
  /// All of them, in order.
  var reductionOrder: [Int] = []
  /// Parts that were gathered in this iteration, and those of which a secondary slice was kept.
  var gatheredParts: Set<ModelPart> = []
  var keptParts: Set<ModelPart> = []
  /// The last upload of each part that lies on the host, and by visits of such parts what freed their weights again.
  var uploads: [ModelPart: Int] = [:]
  var uploadCount = 0
  var releases: [Int] = []
  /// Keys and values that go round, in the order in which they come.
  private var keysUnderWay: [Int] = []
  /// The last shift of their gradients.
  private var gradientUnderWay: Int?
  /// The last step of what was begun beside others, by moment.
  var launched: [Moment: Int] = [:]

  init(_ shape: IterationShape, rank: Int, grain: RankProgram.Grain) {
    self.shape = shape
    self.rank = rank
    self.grain = grain
    let mesh = shape.mesh
    let place = mesh.coordinates(ofRank: rank)
    self.place = place
    parameters = shape.parameters(ofRank: rank)
    tensorGroup = mesh.group(along: .tensor, containing: rank)
    pipelineGroup = mesh.group(along: .pipeline, containing: rank)
    ending = [.head] + shape.predictions
  }

  var strategy: Strategy { shape.strategy }
  var job: TrainingJob { shape.job }
  var isSequenceParallel: Bool { strategy.usesSequenceParallelism }
  var sharding: Sharding { shape.sharding }

  mutating func program(_ stretch: Stretch) -> RankProgram {
    for phase in shape.cycle(stretch) {
      switch phase {
      case .passes: passes()
      case .visits: visits()
      case .updateResident: updateResident()
      case .exchange(let moment): exchangeAll(at: moment)
      case .launch(let moment): launch(moment)
      case .await(let moment): waitNext(for: launched[moment])
      case .compute(let computation): compute(computation)
      }
    }
    return RankProgram(rank: rank, parts: parameters.entries.map(\.part), steps: steps)
  }

  private mutating func passes() {
    gatheredParts = []
    keptParts = []
    let stage = place[.pipeline], steps = shape.schedule.steps(ofStage: stage)
    var index = 0
    while index < steps.count {
      let step = steps[index]
      if shape.schedule.isPaired(index, ofStage: stage), index + 1 < steps.count {
        pair(step, with: steps[index + 1])
        index += 2
        continue
      }
      switch step.pass {
      case .forward: forwardPass(step)
      case .backward: backwardPass(step)
      case .inputGradient: inputGradientPass(step)
      case .weightGradient: weightGradientPass(step)
      }
      index += 1
    }
  }

  // MARK: Appending

  /// Appends a step, with waits for steps of other streams only: those of its own are over anyway.
  @discardableResult
  mutating func append(
    _ operation: ProgramStep.Operation, on stream: ProgramStep.Stream, after waits: [Int]
  ) -> Int {
    var distinct: [Int] = []
    for wait in waits where steps[wait].stream != stream && !distinct.contains(wait) { distinct.append(wait) }
    steps.append(ProgramStep(stream: stream, operation: operation, waitsFor: distinct))
    last[stream] = steps.count - 1
    return steps.count - 1
  }

  /// Appends a computation that works on what the step before it made.
  @discardableResult
  mutating func compute(_ computation: Computation) -> Int {
    let waits = (latest.map { [$0] } ?? []) + pendingWaits
    pendingWaits = []
    let index = append(.compute(computation), on: .compute, after: waits)
    latest = index
    return index
  }

  /// Makes the next computation wait for a step.
  mutating func waitNext(for index: Int?) {
    if let index { pendingWaits.append(index) }
  }

  /// Appends a collective of the tensor group on what the step before it made; nothing when the group is one rank.
  mutating func tensorCollective(_ it: TensorCollective) {
    guard tensorGroup.count > 1 else { return }
    latest = append(
      .collective(shape.collective(it, over: tensorGroup)), on: .tensor, after: latest.map { [$0] } ?? [])
  }

  /// Appends a collective of a recipe. What goes round does so beside the computations that follow, until
  /// ``waitForKeys(_:)``.
  mutating func recipeCollective(_ it: TensorCollective) {
    guard it.ranks != .tensorGroup else { return tensorCollective(it) }
    let collective = shape.collective(it, over: it.group(containing: rank, of: strategy))
    let isShift = [.shift, .shiftBack].contains(it.kind)
    let waits = isShift ? lastComputation + (latest.map { [$0] } ?? []) : latest.map { [$0] } ?? []
    let index = append(.collective(collective), on: it.traffic == .expert ? .experts : .context, after: waits)
    if !isShift {
      latest = index
    } else if it.operand == .attention(.keysValues) {
      keysUnderWay.append(index)
    } else {
      gradientUnderWay = index
    }
  }

  /// Lets a piece wait for the keys that it attends to, and whatever follows attention for the gradients that come home.
  mutating func waitForKeys(_ piece: ModelPiece) {
    switch piece {
    case .attentionFirst: break
    case .attentionNext: if !keysUnderWay.isEmpty { waitNext(for: keysUnderWay.removeFirst()) }
    default:
      waitNext(for: gradientUnderWay)
      gradientUnderWay = nil
    }
  }

  /// The last computation; 0 steps have none.
  var lastComputation: [Int] { last[.compute].map { [$0] } ?? [] }

  /// The last step whose result the next step of a pass works on.
  var latestStep: Int? { latest }

  /// The next computation of a pass follows this step.
  mutating func follow(_ index: Int?) { latest = index }
}
