import Testing

@testable import Documents

/// Two grids over the same ranks: groups as Megatron Core makes them (`parallel_state.py`).
@Suite struct ExpertGridTests {
  private func strategy(_ text: String) throws -> Strategy {
    try StrategyPattern(text: text, source: "test").completed(deviceCount: 16, flashAttention: true, overlap: false)
  }

  private func groups(_ mesh: Mesh, _ axis: Mesh.Axis) -> [[Int]] { mesh.groups(along: axis).map { Array($0.ranks) } }

  @Test func expertsLieOnAGridOfTheirOwn() throws {
    var strategy = Strategy(mesh: [.tensor: 2, .data: 4, .pipeline: 2])
    strategy.expertDegree = 4
    let grid = strategy.expertMesh
    #expect(groups(strategy.mesh, .data) == [[0, 2, 4, 6], [1, 3, 5, 7], [8, 10, 12, 14], [9, 11, 13, 15]])
    #expect(groups(grid, .expert) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11], [12, 13, 14, 15]])
    #expect(
      groups(grid, .data) == [[0, 4], [1, 5], [2, 6], [3, 7], [8, 12], [9, 13], [10, 14], [11, 15]])
    #expect(groups(grid, .pipeline) == groups(strategy.mesh, .pipeline))
    #expect(groups(grid, .pipeline).first == [0, 8])
    #expect(grid.replicaGroups.map { Array($0.ranks) } == groups(grid, .data))
  }

  /// Experts may span tensor and context ranks: parallel folding.
  @Test func expertsFoldOverOtherAxes() throws {
    var strategy = Strategy(mesh: [.tensor: 2, .context: 2, .data: 2])
    strategy.expertDegree = 8
    #expect(groups(strategy.mesh, .context) == [[0, 2], [1, 3], [4, 6], [5, 7]])
    #expect(strategy.mesh.replicaGroups.map { Array($0.ranks) } == [[0, 2, 4, 6], [1, 3, 5, 7]])
    #expect(groups(strategy.expertMesh, .expert) == [[0, 1, 2, 3, 4, 5, 6, 7]])
    // Nobody else has the same experts: their gradients are not reduced at all.
    #expect(strategy.expertReplicaCount == 1)
    #expect(strategy.with(\.zeroStage, .optimizer).expertSharding.optimizerDegree == 1)
  }

  @Test func theWidthOfExpertsIsDividedInside() {
    var strategy = Strategy(mesh: [.tensor: 2, .data: 4])
    strategy.expertDegree = 2
    strategy.expertTensorDegree = 2
    let grid = strategy.expertMesh
    #expect(groups(grid, .tensor) == [[0, 1], [2, 3], [4, 5], [6, 7]])
    #expect(groups(grid, .expert) == [[0, 2], [1, 3], [4, 6], [5, 7]])
    #expect(groups(grid, .data) == [[0, 4], [1, 5], [2, 6], [3, 7]])
  }

  /// torchtitan's efsdp = dp_shard·cp·tp/EP, and Megatron's experts over EDP.
  @Test(arguments: [(1, 8, 4, 8, 2), (2, 8, 4, 8, 4), (2, 8, 4, 4, 2), (1, 8, 8, 8, 1), (1, 8, 2, 4, 2)])
  func expertsStatesAreDividedAsFarAsOthers(
    _ tensor: Int, _ data: Int, _ expert: Int, _ shards: Int, _ expected: Int
  ) {
    var strategy = Strategy(
      mesh: [.tensor: tensor, .data: data],
      sharding: Sharding(weightDegree: shards, gradientDegree: shards, optimizerDegree: shards))
    strategy.expertDegree = expert
    #expect(strategy.expertSharding.weightDegree == expected)
    #expect(strategy.expertSharding.optimizerDegree == expected)
  }

  @Test func gridsThatCannotBeAreRefusedWithTheirNumbers() throws {
    let model = try Catalog(root: Checkout.root).model("mixtral-8x7b")
    let job = try TrainingJob(model: model, sequenceLength: 4_096, globalBatch: 64)
    func sentence(_ text: String, _ job: TrainingJob = job) throws -> String {
      try strategy(text).violation(job: job, deviceCount: 16, hasFlashAttention: true)?.description ?? "none"
    }
    #expect(try sentence("data=16,expert=8") == "none")
    #expect(try sentence("data=16,expert=16").contains("the expert degree 16 does not divide the 8 experts"))
    #expect(
      try sentence("data=4,pipeline=4,expert=8").contains("expert 8 × expert_tensor 1 does not divide the 4 ranks"))
    #expect(try sentence("tensor=2,data=8,expert=8").contains("need sequence parallelism"))
    #expect(
      try sentence("tensor=2,data=8,sequence_parallel=true,expert=2,expert_tensor=2,moe_dispatcher=deepep").contains(
        "undivided width"))
    let dense = try TrainingJob(
      model: Catalog(root: Checkout.root).model("llama-3-8b"), sequenceLength: 4_096, globalBatch: 64)
    #expect(try sentence("data=16,expert=8", dense).contains("of models with experts"))
  }
}
