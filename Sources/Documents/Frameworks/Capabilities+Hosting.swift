/// What a framework has its hosts hold and do.
extension Capabilities {
  /// The parts of an update, hundredths, that are tried where nobody states one. Parts that DeepSpeed has under ZeRO 3 only
  /// (its ratio) are for users to state.
  package static func searchedUpdatePercents(_ capabilities: Capabilities?) -> [Int] {
    switch capabilities?.hosting?.updates {
    case .parts: [0, 25, 50, 75, 100]
    case .never: [0]
    case .wholeOrPartsOfZeRO3, .withWeights, nil: [0, 100]
    }
  }

  /// Of which layers activations on the host are tried where nobody states it.
  package static func searchedActivations(_ capabilities: Capabilities?, layerCount: Int) -> [HostedActivations] {
    HostedActivations.searched(
      modelLayerCount: layerCount, counts: capabilities?.hosting?.activations == .keptWithoutPipeline)
  }

  /// Why the framework does not have a strategy's hosts do as it says; nil if it does.
  package func refusal(ofHosting strategy: Strategy, job: TrainingJob) -> Refusal? {
    let hosting = strategy.hosting
    guard hosting != .none else { return nil }
    guard let offer = self.hosting else {
      return Refusal("\(label) has everything on the devices", nearest: Self.nothingHosted)
    }
    if hosting.holdsWeights, !offer.holdsWeights {
      return Refusal("\(label) has no weights on the host", nearest: "host_weights=false")
    }
    if hosting.updatePercent > 0, offer.updatesPlainAdamOnly, job.optimizer != .adam {
      return Refusal(
        "\(label) has the host update for adam with fp32 states only", nearest: "host_update_percent=0")
    }
    switch offer.updates {
    case .parts: break
    case .never:
      if hosting.updatePercent > 0 {
        return Refusal("\(label) has no update on the host", nearest: "host_update_percent=0")
      }
    case .wholeOrPartsOfZeRO3:
      if ![0, 100].contains(hosting.updatePercent), strategy.zeroStage < .weights {
        return Refusal("\(label) has the host update all or nothing below ZeRO 3", nearest: "host_update_percent=100")
      }
    case .withWeights:
      if hosting.updatePercent != 100 || !hosting.holdsWeights {
        return Refusal(
          "\(label) has weights and all of the update on the host, or neither",
          nearest: "host_update_percent=100,host_weights=true")
      }
    }
    guard hosting.activations != .onDevice else { return nil }
    switch offer.activations {
    case .none: return Refusal("\(label) has no activations on the host", nearest: "host_activations=false")
    case .keptWithoutPipeline:
      guard strategy.pipelineDegree > 1 || strategy.recompute != .none else { return nil }
      return Refusal(
        "\(label) has activations on the host without a pipeline and without recomputation only",
        nearest: "host_activations=false")
    case .blockInputs:
      if hosting.activations.isOfSomeLayers {
        return Refusal(
          "\(label) has activations of all layers on the host, or of none", nearest: "host_activations=true")
      }
      guard strategy.recompute != .full else { return nil }
      return Refusal("\(label) has inputs of recomputed blocks on the host only", nearest: "recompute=full")
    }
  }

  private static let nothingHosted = "host_update_percent=0,host_weights=false,host_activations=false"
}
