import Documents
import Testing

@testable import Costing

/// Optimizer states of ranks, and what an update takes.
@Suite struct OptimizerStatesTests {
  private static func memory(
    _ optimizer: Optimizer, _ strategy: Strategy = Strategy(mesh: [.data: 4], zeroStage: .optimizer)
  ) throws -> MemoryModel {
    Fixture.memory(try job(optimizer), strategy)
  }

  private static func job(_ optimizer: Optimizer) throws -> TrainingJob {
    try TrainingJob(
      model: try Fixture.llama(), sequenceLength: 256, globalBatch: 64, precision: .bf16, optimizer: optimizer)
  }

  @Test func shardsKeepWhatTheirParametersDo() throws {
    let psi = try Fixture.llama().parameterCount
    let shard = (psi + 3) / 4
    func bytes(_ optimizer: Optimizer) throws -> Int {
      try Self.memory(optimizer).optimizerBytes(stage: 0, layerCount: 4)
    }
    #expect(try bytes(.adam) == 12 * shard)
    #expect(try bytes(Optimizer(moments: .bf16, masterWeights: .none)) == 4 * shard)
    #expect(try bytes(Optimizer(.sgd, masterWeights: .none)) == 0)
    let scales = (2 * shard + 255) / 256
    #expect(try bytes(Optimizer(moments: .int8, masterWeights: .none)) == 2 * shard + 4 * scales)
  }

  /// Whole replicas, so that every matrix counts: h = 512, 8 heads of 64, 4 of keys and values, 1536 wide, V = 1024.
  @Test func muonAndAdafactorTellMatricesFromVectors() throws {
    let whole = Strategy(mesh: [.data: 1])
    let matrices = 4 * (512 * 512 * 2 + 512 * 256 * 2 + 3 * 512 * 1536)
    let rest = 2 * 1024 * 512 + 4 * 2 * 512 + 512
    let muon = try Self.memory(Optimizer(.muon), whole).optimizerBytes(stage: 0, layerCount: 4)
    #expect(muon == 4 * (matrices + rest) + 4 * (matrices + 2 * rest))
    // Queries, keys, values, output, gate, up and down, and two matrices of the vocabulary.
    let factors = 4 * (1024 + 2 * (256 + 512) + 1024 + 3 * (512 + 1536)) + 2 * (1024 + 512) + 4 * 2 * 512 + 512
    let adafactor = try Self.memory(Optimizer(.adafactor), whole).optimizerBytes(stage: 0, layerCount: 4)
    #expect(adafactor == 4 * (matrices + rest) + 4 * factors)
  }

  /// Adam reads and writes 12 bytes of states, reads a gradient of 4 and writes a weight of 2; without exact weights the
  /// weight is read as well.
  @Test func anUpdateMovesItsStatesTwice() throws {
    func bytes(_ optimizer: Optimizer) throws -> Double {
      try Self.memory(optimizer).updateBytesPerParameter(stage: 0, LayerCounts(dense: 4))
    }
    #expect(try bytes(.adam) == 30)
    #expect(try bytes(Optimizer(moments: .bf16, masterWeights: .none)) == 2 * 4 + 4 + 4)
    #expect(try bytes(Optimizer(.sgd)) == 2 * 4 + 4 + 2)
  }

  /// Five iterations of 4m²n + 2m³ FLOP for each matrix, at 100 TFLOP/s.
  @Test func muonsStepIsOrthogonalised() throws {
    let job = try Self.job(Optimizer(.muon))
    let speed = DeviceSpeed(Fixture.device(), precision: .bf16)
    let strategy = Strategy(mesh: [.data: 2], zeroStage: .optimizer)
    func flop(_ m: Double, _ n: Double) -> Double { 5 * (4 * m * m * n + 2 * m * m * m) }
    let layer = 2 * flop(512, 512) + 2 * flop(256, 512) + 3 * flop(512, 1536)
    let orthogonalisation = try #require(Orthogonalisation(job: job, strategy: strategy, speed: speed))
    #expect(agrees(orthogonalisation.seconds(layerCount: 4), 4 * layer / 2 / 100e12))
    // However many ranks, one of them has the largest matrix.
    let many = try #require(
      Orthogonalisation(job: job, strategy: Strategy(mesh: [.data: 64], zeroStage: .optimizer), speed: speed))
    #expect(agrees(many.seconds(layerCount: 4), flop(512, 1536) / 100e12))
    #expect(Orthogonalisation(job: try Self.job(.adam), strategy: strategy, speed: speed) == nil)
  }
}
