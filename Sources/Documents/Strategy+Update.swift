extension Strategy {
  /// How an iteration moves the weights.
  package enum Update: String, Sendable, CaseIterable, StrategyValue {
    /// By gradients, and an optimizer with its states.
    case firstOrder = "first-order"
    /// By losses at perturbed weights alone, see ``ZerothOrder``.
    case zerothOrder = "zeroth-order"
    /// By gradients within each worker, and between workers by an outer step every so many iterations, see ``OuterStep``.
    case outer

    /// Whether iterations have backward passes and an optimizer.
    package var hasGradients: Bool { self != .zerothOrder }
  }

  /// Groups of replicas that train on different sequences: all replicas of all workers, but those that divide the losses of
  /// the same ones among themselves.
  @usableFromInline package var batchDegree: Int { dataDegree / perturbationDegree * workerDegree }

  /// What a replica evaluates of the losses of zeroth-order training.
  package func evaluations(ofReplica replica: Int, job: TrainingJob) -> [ZerothOrder.Evaluation] {
    job.zerothOrder.evaluations(ofMember: replica % perturbationDegree, among: perturbationDegree)
  }

  /// Losses that each replica evaluates in an iteration of zeroth-order training.
  package func evaluationCount(_ job: TrainingJob) -> Int { job.zerothOrder.evaluationCount / perturbationDegree }

  /// Micro-batches that go through a part together in zeroth-order training: all of a replica's where there are no stages,
  /// otherwise one, which every stage hands on.
  package func visitMicroBatchCount(of microBatchCount: Int) -> Int { pipelineDegree == 1 ? microBatchCount : 1 }

  /// How often in an iteration of zeroth-order training micro-batches go through a part, those that go together once.
  package func visitCount(of microBatchCount: Int) -> Int {
    microBatchCount / visitMicroBatchCount(of: microBatchCount)
  }

  /// The rule of its update that the strategy breaks; nil if it keeps all.
  func updateViolation(_ job: TrainingJob) -> StrategyViolation? {
    if update != .outer, workerDegree > 1 || outer != OuterStep() { return .workersNeedOuterSteps }
    guard update == .zerothOrder else {
      if perturbationDegree > 1 { return .perturbationNeedsZerothOrder }
      return schedule == .forwardOnly ? .scheduleNeedsZerothOrder : outerViolation(job)
    }
    if dataDegree % perturbationDegree != 0 {
      return .perturbationDoesNotDivide(degree: perturbationDegree, what: "replicas", count: dataDegree)
    }
    if job.zerothOrder.evaluationCount % perturbationDegree != 0 {
      return .perturbationDoesNotDivide(
        degree: perturbationDegree, what: "losses of an iteration", count: job.zerothOrder.evaluationCount)
    }
    if schedule != .forwardOnly { return .zerothOrderHasNo("virtual stages") }
    if recompute != .none { return .zerothOrderHasNo("backward pass to recompute for") }
    if overlapsGradientReduce { return .zerothOrderHasNo("gradients to reduce") }
    if hosting.updatePercent > 0 { return .zerothOrderHasNo("optimizer states that a host could update") }
    if hosting.activations != .onDevice { return .zerothOrderHasNo("activations that wait for a backward pass") }
    let sharding = sharding
    if sharding.isQuantised || sharding.secondaryDegree != nil {
      return .zerothOrderHasNo("quantised gathers or second copies of slices")
    }
    if sharding.gradientDegree != sharding.weightDegree || sharding.optimizerDegree != sharding.weightDegree {
      return .zerothOrderHasNo("gradients or optimizer states to divide: replicas divide weights or nothing")
    }
    return nil
  }

  /// The rule of outer steps that the strategy breaks; nil if it keeps all, or has none.
  private func outerViolation(_ job: TrainingJob) -> StrategyViolation? {
    guard update == .outer else { return nil }
    // Workers would skip steps of their own for overflows, and be out of step with each other.
    if job.precision == .fp16 { return .outerStepsIn(job.precision) }
    if workerDegree == 1, outer.format.isRounded { return .outerFormatNeedsWorkers }
    return nil
  }

  /// The rule by which the search leaves out workers that could be run: copies of a parameter that its holders round in
  /// groups of their own drift apart. Nil if it does not.
  package func outerExclusion(_ model: ModelDescription) -> StrategyViolation? {
    guard outer.format.quantisation != nil else { return nil }
    if tensorDegree > 1 { return .quantisedTensorGroups }
    return copiesTokenTable(of: model) ? .quantisedTiedMatrix : nil
  }

  /// What a framework runs that knows nothing of other workers: the layout of one of them, trained by gradients.
  package var ofOneWorker: Strategy {
    guard update == .outer else { return self }
    var own = self
    own.mesh = mesh.ofOneWorker
    own.update = .firstOrder
    own.outer = OuterStep()
    return own
  }

  /// Sequences that one worker trains on in an iteration.
  @usableFromInline package func workerBatch(globalBatch: Int) -> Int { globalBatch / workerDegree }
}
