import Documents
import Testing
import Training

/// The exchanges of every division of eight replicas, against what the papers say of them.
@Suite struct ExchangeTests {
  private static let mesh: Mesh = [.data: 8]

  private static let shardings: [Sharding] = [1, 2, 4, 8].flatMap { w in
    [1, 2, 4, 8].filter { $0 % w == 0 }.flatMap { g in
      [1, 2, 4, 8].filter { $0 % g == 0 }.map { Sharding(weightDegree: w, gradientDegree: g, optimizerDegree: $0) }
    }
  }

  /// Kinds and families at each moment, all in one line.
  private func words(_ sharding: Sharding, in mesh: Mesh = mesh) -> String {
    Moment.allCases.filter { ![.outer, .outerScalars].contains($0) }.map { moment in
      sharding.exchanges(at: moment, in: mesh).map { "\($0.kind.rawValue) \($0.family?.rawValue ?? "")" }
        .joined(separator: ", ")
    }.joined(separator: " | ")
  }

  /// Rajbhandari et al. 2020, section 7: ZeRO 1 and 2 move what data parallelism moves, ZeRO 3 gathers in both passes.
  @Test func stagesOfZero() {
    func zero(_ stage: Strategy.ZeroStage) -> String { words(Sharding(stage, replicaCount: 8)) }
    #expect(zero(.none) == " |  |  | all-reduce replicas | all-reduce  | ")
    #expect(zero(.optimizer) == " |  |  | reduce-scatter optimizer | all-reduce  | all-gather optimizer")
    #expect(zero(.gradients) == " |  | reduce-scatter gradients |  | all-reduce  | all-gather gradients")
    #expect(zero(.weights) == "all-gather weights | all-gather weights | reduce-scatter weights |  | all-reduce  | ")
  }

  /// Wang et al. 2023: with hpZ all gathers but the first stay among the ranks of the secondary copy, exact ones.
  @Test func theSecondaryCopyTakesLaterGathers() {
    let sharding = Sharding(
      weightDegree: 8, gradientDegree: 8, optimizerDegree: 8, secondaryDegree: 4, quantisesWeights: true,
      quantisesGradients: true)
    let first = sharding.exchanges(at: .firstUse, in: Self.mesh),
      later = sharding.exchanges(at: .laterUse, in: Self.mesh)
    #expect(first.map(\.family) == [.weights] && first.map(\.quantisation) == [.weights])
    #expect(later.map(\.family) == [.secondary] && later.map(\.quantisation) == [nil] && later[0].rankCount == 4)
    #expect(sharding.exchanges(at: .partBackward, in: Self.mesh).map(\.quantisation) == [.gradients])
  }

  /// What is divided is put together again: reductions divide a gradient by w, g, o in turn and sum it over all replicas;
  /// gathers make of what was updated what is kept, and of that all.
  @Test(arguments: shardings)
  func divisionsAreNested(sharding: Sharding) {
    func exchanges(_ moments: Moment...) -> [Exchange] {
      moments.flatMap { sharding.exchanges(at: $0, in: Self.mesh) }.filter { $0.family != nil }
    }
    var divided = 1
    for reduction in exchanges(.partBackward, .lastBackward) {
      #expect(reduction.divisor == divided)
      divided *= reduction.rankCount
    }
    #expect(divided == 8)
    // A micro-batch's gradient is reduced to what is kept of it and no further.
    #expect(
      exchanges(.partBackward).reduce(1) { $0 * $1.rankCount } == sharding.gradientDegree
        || sharding.gradientDegree == 1)
    var whole = sharding.optimizerDegree
    for gather in exchanges(.step) + exchanges(.laterUse) {
      whole /= gather.rankCount
      #expect(gather.divisor == whole)
    }
    #expect(whole == 1)
  }

  /// Both stages add up the same numbers in the same order: their shared matrix after the replicas while they hold all of it.
  @Test func whatStagesShareIsSummedInOrder() {
    let mesh: Mesh = [.tensor: 2, .data: 4, .pipeline: 2]
    func contents(_ stage: Strategy.ZeroStage) -> [Exchange.Content] {
      Sharding(stage, replicaCount: 4).exchanges(at: .lastBackward, in: mesh).map(\.content)
    }
    #expect(contents(.none) == [.partialGradient, .gradient, .tiedMatrixGradient])
    #expect(contents(.optimizer) == [.partialGradient, .tiedMatrixGradient, .gradient])
  }
}
