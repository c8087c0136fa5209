package import Documents

/// A measured run as the cost model sees it: cluster, job and strategy, with what the record does not state assumed.
package struct RunWorkload: Sendable {
  /// The machine, as far as the record states it.
  package let cluster: ClusterDescription
  /// The model and the batch.
  package let job: TrainingJob
  /// The strategy as far as it is stated.
  package let pattern: StrategyPattern
  /// What the record names the framework, with its release, where the device profile has it; nil where it names none that is
  /// known.
  package let frameworkName: String?
  /// A sentence for each thing that the record does not state.
  package let assumptions: [String]

  /// - Throws: `Refusal` when the record does not state enough, or something that is not supported.
  package init(_ run: MeasuredRun, catalog: Catalog) throws(Refusal) {
    do {
      var job = try run.job.get()
      var pattern = try run.strategy.get()
      for axis in Mesh.searchedAxes where pattern.degree(of: axis) == nil {
        throw Refusal("strategy does not state \(axis.name)")
      }
      var (cluster, assumptions) = try run.cluster(catalog: catalog)
      let framework = run.framework.flatMap { cluster.device.framework(named: $0) }
      if framework == nil { assumptions.append("framework coefficients of \(cluster.device.frameworks[0].name)") }

      if job.model.form.hasSinks, job.model.details.attentionWindow != nil, !run.statesWindowedLayers {
        assumptions.append("every second layer's attention has no window, as GPT-OSS has it")
      }
      assumptions += Self.takePipelineDefaults(
        &pattern, family: run.family, globalBatch: job.globalBatch, frameworkName: framework?.name)

      // With one rank in the tensor group the flag has nothing to divide.
      if pattern.tensorDegree == 1 {
        pattern.usesSequenceParallelism = false
        pattern.overlapsTensorExchange = nil
      }
      // A record that does not state FlashAttention is older than it, or plain, or of a framework that has no other.
      let habits = framework ?? cluster.device.frameworks[0]
      if pattern.usesFlashAttention == nil, pattern.contextDegree ?? 1 > 1 {
        pattern.usesFlashAttention = true
        assumptions.append("FlashAttention, without which no ranks divide sequences")
      }
      if pattern.usesFlashAttention == nil {
        let isFused = habits.usesFlashAttention && cluster.device.hasFlashAttention(in: job.precision)
        pattern.usesFlashAttention = isFused
        assumptions.append("attention is \(isFused ? "" : "not ")fused")
      }
      if pattern.zeroStage == nil { assumptions.append("ZeRO 0") }
      if pattern.recompute == nil { assumptions.append("recompute none") }
      if pattern.overlapsGradientReduce == nil {
        assumptions.append(
          "gradient reduction is \(habits.overlapsGradientReduce ? "" : "not ")overlapped, as \(habits.name) does by default"
        )
      }
      if pattern.overlapsTensorExchange == nil, pattern.usesSequenceParallelism == true,
        habits.tensorOverlapFraction > 0, habits.overlapsTensorExchangesWhereAsked
      {
        let isAsked = Self.overlappingFamilies.contains(run.family)
        if isAsked { pattern.overlapsTensorExchange = true }
        assumptions.append(
          isAsked
            ? "tensor exchanges are overlapped, as the source says of all of its runs"
            : "tensor exchanges are not overlapped, as \(habits.name) does by default")
      }
      if pattern.holdsNarrowWeights == nil, habits.memory.holdsNarrowWeights, job.precision.products != nil {
        assumptions.append(
          "weights lie in the format of products where replicas divide states, as \(habits.name) has them")
      }
      if pattern[dynamicMember: \.hosting.activations] == nil,
        let count = run.hostedLayerCountOfRecipe(pattern, job: job, frameworkName: framework?.name)
      {
        pattern[dynamicMember: \.hosting.activations] = .layers(count)
        assumptions.append("activations of \(count) layers lie on the host, as in \(habits.name)'s recipe")
      }
      if let recipe = run.productsOfRecipe(pattern, job: job, frameworkName: framework?.name) {
        job = recipe.job
        assumptions.append("\(recipe.words), as in \(habits.name)'s recipe")
      }
      if pattern.usesHost, cluster.host == nil,
        let known = catalog.host(of: cluster.device, devicesPerNode: cluster.devicesPerNode)
      {
        cluster = cluster.replacing(host: known.host)
        assumptions.append("hosts are as those of \(known.cluster)")
      }
      if !run.statesGradients, job.precision.is16Bit, let inFP32 = framework?.accumulatesInFP32,
        inFP32 != job.accumulatesGradientsInFP32
      {
        job = try job.with(accumulatesGradientsInFP32: inFP32)
        assumptions.append("gradients are accumulated in \(inFP32 ? "fp32" : job.precision.storage.rawValue)")
      }
      if job.expertCapacity.factor != nil, pattern.dispatcher?.sendsOnce == true {
        job.expertCapacity = .none
        assumptions.append("no tokens are dropped, since they are sent once a rank")
      }
      let name = framework == nil ? nil : run.framework
      if pattern.microBatch == nil {
        let microBatch = try Self.fastestMicroBatch(pattern, job: job, cluster: cluster, frameworkName: name)
        pattern.microBatch = microBatch
        assumptions.append("micro-batch \(microBatch), the fastest that fits")
      }
      self.job = job
      self.cluster = cluster
      self.pattern = pattern
      self.assumptions = assumptions
      frameworkName = name
    } catch let refusal as Refusal {
      throw refusal
    } catch let error as DocumentError {
      throw Refusal(error.reason)
    } catch {
      throw Refusal("\(error)")
    }
  }

  /// The name of the framework in a device profile whose coefficients price the record.
  func coefficientName(in device: DeviceProfile) -> String {
    (frameworkName.flatMap { device.framework(named: $0) } ?? device.frameworks[0]).name
  }

  /// Sources that say beside their tables that tensor groups' exchanges ran beside products, and transfers of the pipeline beside
  /// passes, which Megatron-LM has in interleaved schedules alone: of `megatron-h100` its README.
  static let overlappingFamilies: Set = ["megatron-h100"]

  /// The cost model of this workload.
  /// - Parameter device: a profile in place of the cluster's own; nil keeps that.
  package func model(device: DeviceProfile? = nil) throws(Refusal) -> CostModel {
    do {
      return try CostModel(
        cluster: device.map { cluster.replacing(device: $0) } ?? cluster, job: job, frameworkName: frameworkName)
    } catch {
      throw Refusal("\(error)")
    }
  }

  /// The prediction.
  package func estimate(device: DeviceProfile? = nil) throws(Refusal) -> Estimate {
    do {
      return try Estimate(model: model(device: device), pattern: pattern)
    } catch let refusal as Refusal {
      throw refusal
    } catch {
      throw Refusal("\(error)")
    }
  }

  /// The predicted iteration time alone, for fits that ask many times.
  func iterationSeconds(device: DeviceProfile, scratch: inout EvaluationScratch) throws(Refusal) -> Double {
    let model = try model(device: device)
    do {
      let (strategy, split) = try Estimate.completed(pattern, model: model)
      return model.cost(of: strategy).iterationSeconds(of: split, scratch: &scratch)
    } catch {
      throw Refusal("\(error)")
    }
  }

  /// The predicted memory alone, likewise: the peak that the framework would report, and the largest of all stages.
  func peakBytes(device: DeviceProfile) throws(Refusal) -> (reported: Int, largest: Int) {
    let model = try model(device: device)
    do {
      let (strategy, split) = try Estimate.completed(pattern, model: model)
      let memory = model.cost(of: strategy).memory.stageMemory(of: split)
      return (model.framework.reportedPeakBytes(of: memory), memory.map(\.peakBytes).max() ?? 0)
    } catch {
      throw Refusal("\(error)")
    }
  }

  /// Why a record cannot be predicted, as a sentence.
  package struct Refusal: Error, Sendable, CustomStringConvertible {
    package let description: String
    init(_ sentence: String) { description = sentence }
  }
}
