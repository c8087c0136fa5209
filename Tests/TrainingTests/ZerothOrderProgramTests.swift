import Testing
import Training

@testable import Documents

/// Programs of zeroth-order training: what a rank does in an iteration, in which order, and what waits for what.
@Suite struct ZerothOrderProgramTests {
  static func shape(
    mesh: Mesh, perturbation: Int = 1, slices: Int = 1, hosted: Int? = nil, directions: Int = 1, layers: Int = 6,
    isTied: Bool = false
  ) throws -> IterationShape {
    var job = try TrainingJob(
      model: ModelDescription(
        name: "small", family: .gpt, layerCount: layers, hiddenSize: 16, headCount: 4, feedForwardSize: 24,
        vocabularySize: 16, hasGatedFeedForward: false, hasTiedEmbeddings: isTied, positionCount: 8),
      sequenceLength: 8, globalBatch: 12)
    job.zerothOrder.directionCount = directions
    var strategy = Strategy(
      mesh: mesh,
      sharding: slices == 1
        ? nil : Sharding(weightDegree: slices, gradientDegree: slices, optimizerDegree: slices))
    strategy.update = .zerothOrder
    strategy.perturbationDegree = perturbation
    strategy.hosting.holdsWeights = hosted != nil
    #expect(
      strategy.violation(job: job, deviceCount: mesh.worldSize, hasFlashAttention: true, hasHost: true) == nil)
    let p = strategy.pipelineDegree
    return try IterationShape(
      job: job, strategy: strategy,
      split: Split(
        [Int](repeating: layers / p, count: p),
        choices: hosted.map { count in
          (0..<p).map { _ in StageChoice(recomputedLayerCount: 0, hostedLayerCount: count) }
        }),
      schedule: PipelineSchedule(
        .forwardOnly, stageCount: p, microBatchCount: strategy.microBatchCount(globalBatch: 12)),
      paddedVocabularySize: 16)
  }

  /// A program in few words: a visit of layer 2 that evaluates losses 0 and 1 is `L2:01`.
  static func words(_ program: RankProgram) -> String {
    func name(_ part: ModelPart) -> String {
      switch part {
      case .embedding: "E"
      case .layer(let index), .prediction(let index): "L\(index)"
      case .experts: "experts"
      case .head: "H"
      }
    }
    return program.steps.compactMap { step -> String? in
      switch step.operation {
      case .upload(let it): "up(\(name(it.part)))"
      case .offload(let it): "down(\(name(it.part)))"
      case .collective(let it):
        if case .exchanged(_, let part, _) = it.operand { part.map { "gather(\(name($0)))" } ?? "losses" } else { nil }
      case .compute(.update(let part, .ofLastIteration)): "last(\(name(part)))"
      case .compute(.update(let part, .ofThisIteration)): "step(\(name(part)))"
      case .compute(.perturb(let part, let evaluation)): "\(name(part)):\(evaluation.index)"
      case .compute(.evaluatePart(let part, let batches, _)): "\(name(part))x\(batches.count)"
      case .compute(.dropWeights(let part)): "drop(\(name(part)))"
      case .compute(.beginPass(let pass)): "begin(\(pass.microBatchIndex))"
      case .compute(.endPass(let pass)): "end(\(pass.microBatchIndex))"
      case .send: "send"
      case .receive: "receive"
      case .compute(.sumLosses): "sum"
      case .compute(.projectGradient): "project"
      case .compute: nil
      }
    }.joined(separator: " ")
  }

  static func parts(_ shape: IterationShape, rank: Int = 0) -> String {
    words(shape.programs(ofRanks: [rank], in: .parts)[0])
  }

  @Test func everyPartIsVisitedOnceWithEverything() throws {
    #expect(
      try Self.parts(Self.shape(mesh: [.data: 2], layers: 2))
        == "E:0 Ex6 E:1 Ex6 L0:0 L0x6 L0:1 L0x6 L1:0 L1x6 L1:1 L1x6 "
        + "H:0 Hx6 H:1 Hx6 sum losses project step(E) step(L0) step(L1) step(H)")
  }

  @Test func membersOfAPerturbationGroupDivideLosses() throws {
    let shape = try Self.shape(mesh: [.data: 4], perturbation: 2, directions: 2, layers: 1)
    // The same six sequences, of which ranks 0 and 2 step forwards, ranks 1 and 3 backwards.
    for (rank, losses) in [
      (0, "E:0 Ex6 E:2 Ex6"), (1, "E:1 Ex6 E:3 Ex6"), (2, "E:0 Ex6 E:2 Ex6"), (3, "E:1 Ex6 E:3 Ex6"),
    ] {
      #expect(Self.parts(shape, rank: rank).hasPrefix(losses + " L0"))
    }
  }

  @Test func aTiedHeadPerturbsTheEmbeddingAgain() throws {
    #expect(
      try Self.parts(Self.shape(mesh: [:], layers: 1, isTied: true)).contains("E:0 H:0 Hx12 E:1 H:1 Hx12"))
  }

  @Test func layersComeTwoAheadAndLeaveBehind() throws {
    #expect(
      try Self.parts(Self.shape(mesh: [:], hosted: 5, layers: 5)) == "up(L0) up(L1) up(L2) E:0 Ex12 E:1 Ex12 "
        + "last(L0) L0:0 L0x12 L0:1 L0x12 down(L0) up(L3) last(L1) L1:0 L1x12 L1:1 L1x12 down(L1) up(L4) "
        + "last(L2) L2:0 L2x12 L2:1 L2x12 down(L2) last(L3) L3:0 L3x12 L3:1 L3x12 down(L3) "
        + "last(L4) L4:0 L4x12 L4:1 L4x12 down(L4) H:0 Hx12 H:1 Hx12 sum project step(E) step(H)")
  }

  @Test func layersOnTheHostAreSpread() throws {
    let shape = try Self.shape(mesh: [:], hosted: 2)
    #expect((0..<6).map { shape.isHosted(.layer($0)) } == [false, false, true, false, false, true])
    #expect(!shape.isHosted(.embedding) && !shape.isHosted(.head))
    let stages = try Self.shape(mesh: [.pipeline: 2], hosted: 1)
    #expect((0..<6).map { stages.isHosted(.layer($0)) } == [false, false, true, false, false, true])
  }

  @Test func slicesAreGatheredOneAhead() throws {
    #expect(
      try Self.parts(Self.shape(mesh: [.data: 2], perturbation: 2, slices: 2, hosted: 1, layers: 2))
        == "up(L1) gather(E) gather(L0) E:0 Ex12 drop(E) gather(L1) L0:0 L0x12 drop(L0) "
        + "gather(H) last(L1) L1:0 L1x12 down(L1) H:0 Hx12 drop(H) sum losses project step(E) step(L0) step(H)")
  }

  @Test func stagesVisitTheirPartsForEveryMicroBatch() throws {
    let words = try Self.parts(Self.shape(mesh: [.pipeline: 2, .data: 6], hosted: 1, layers: 2), rank: 6)
    #expect(
      words == "up(L1) receive begin(0) last(L1) L1:0 L1x1 L1:1 L1x1 down(L1) up(L1) H:0 Hx1 H:1 Hx1 end(0) "
        + "receive begin(1) L1:0 L1x1 L1:1 L1x1 drop(L1) H:0 Hx1 H:1 Hx1 end(1) sum losses project step(H)")
  }

  /// The fourth upload waits until the first of three buffers is given back, and so on; and a layer comes again only after its
  /// last visit.
  @Test(arguments: [1, 2, 3, 4, 5, 8])
  func atMostThreeBuffersAreTaken(hosted: Int) throws {
    for mesh: Mesh in [[:], [.pipeline: 2], [.pipeline: 2, .data: 2]] {
      let shape = try Self.shape(mesh: mesh, hosted: hosted, layers: 16)
      for program in shape.programs() {
        var releases: [Int] = [], uploadCount = 0, last: [ModelPart: Int] = [:]
        for (index, step) in program.steps.enumerated() {
          switch step.operation {
          case .upload(let it):
            if uploadCount >= 3 { #expect(step.waitsFor.contains(releases[uploadCount - 3])) }
            if let release = last[it.part] { #expect(step.waitsFor.contains(release)) }
            uploadCount += 1
          case .offload(let it):
            releases.append(index)
            last[it.part] = index
          case .compute(.dropWeights(let part)):
            releases.append(index)
            last[part] = index
          default: continue
          }
        }
        #expect(uploadCount == hosted * shape.visitedMicroBatches.count)
        #expect(uploadCount == releases.count)
      }
    }
  }

  @Test(arguments: [
    [Mesh.Axis.data: 1], [.data: 4], [.tensor: 2, .data: 2], [.pipeline: 2, .data: 2], [.tensor: 2, .pipeline: 3],
  ])
  func programsHaveNoDefect(degrees: [Mesh.Axis: Int]) throws {
    let mesh = degrees.sorted { $0.key < $1.key }.reduce(Mesh()) { $0.with($1.key, degree: $1.value) }
    let data = mesh.degree(of: .data)
    for perturbation in [1, 2] where data % perturbation == 0 {
      for slices in [1, 2, 4] where data % slices == 0 {
        for hosted in [nil, 0, 1, 2] as [Int?] {
          for directions in [1, 2] {
            let shape = try Self.shape(
              mesh: mesh, perturbation: perturbation, slices: slices, hosted: hosted, directions: directions,
              isTied: true)
            #expect(
              shape.defect(in: shape.programs()) == nil,
              "\(mesh), perturbation \(perturbation), slices \(slices), hosted \(hosted ?? -1)")
          }
        }
      }
    }
  }

  @Test func firstOrderIterationsAreAsTheyWere() throws {
    let job = try Self.shape(mesh: [:]).job
    let shape = try IterationShape(
      job: job, strategy: Strategy(mesh: [.data: 2]), split: Split([6]),
      schedule: PipelineSchedule(.oneForwardOneBackward, stageCount: 1, microBatchCount: 6), paddedVocabularySize: 16)
    #expect(shape.cycle().contains(.passes) && !shape.cycle().contains(.visits))
    #expect(shape.evaluations(ofRank: 0).count == 2)
    #expect(shape.sentElementCount == shape.activationElementCount)
    #expect(!shape.isHosted(.layer(0)))
  }
}
