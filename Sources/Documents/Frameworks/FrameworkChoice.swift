/// Which framework is to run a plan, and whose coefficients price it.
package struct FrameworkChoice: Sendable {
  /// What the framework offers; nil for the whole lattice.
  package let capabilities: Capabilities?
  /// The framework of the device profile whose coefficients are used.
  package let coefficientName: String
  /// Whether a framework was asked for of which no table says what it can run.
  package let lacksTable: Bool

  /// The word of `--framework` for it.
  package var name: String {
    capabilities?.name ?? (lacksTable ? coefficientName : Plan.Question.anyFramework)
  }

  /// The words that are known beside a profile's own frameworks.
  package static let names = Capabilities.all.map(\.name) + [Plan.Question.anyFramework]

  /// - Parameters:
  ///   - name: a table's name, `any`, or one of the profile's frameworks; nil for the profile's first, and for the whole
  ///     lattice where no table is of that or it does not train the model.
  ///   - job: what is to be trained.
  /// - Returns: nil for a name that is none of these.
  package init?(named name: String?, device: DeviceProfile, job: TrainingJob) {
    let first = device.frameworks[0].name
    guard let name else {
      let trains = Self.refusalByDefault(of: job, on: device) == nil
      self.init(trains ? Capabilities.named(first) : nil, coefficients: first)
      return
    }
    if name.lowercased() == Plan.Question.anyFramework {
      self.init(nil, coefficients: first)
    } else if let table = Capabilities.named(name) {
      let known = table.coefficientNames.first { name in device.frameworks.contains { $0.name == name } }
      self.init(table, coefficients: known ?? first)
    } else if let framework = device.framework(named: name) {
      let table = Capabilities.named(framework.name)
      self.init(table, coefficients: framework.name, lacksTable: table == nil)
    } else {
      return nil
    }
  }

  /// Why the framework that is chosen where none is asked for does not train a job's model; nil if it does.
  package static func refusalByDefault(of job: TrainingJob, on device: DeviceProfile) -> Capabilities.Refusal? {
    Capabilities.named(device.frameworks[0].name)?.refusalOfModel(in: job)
  }

  private init(_ capabilities: Capabilities?, coefficients: String, lacksTable: Bool = false) {
    self.capabilities = capabilities
    coefficientName = coefficients
    self.lacksTable = lacksTable
  }
}
