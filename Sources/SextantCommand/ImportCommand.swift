import ArgumentParser
import JSONText
import Sextant

/// `sextant import`.
struct ImportCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "import",
    abstract: "Read the configuration of a running training, as its framework has it.",
    discussion: """
      Example: sextant import --from deepspeed ds_config.json hostfile --model llama-3-8b --output running.json

      What is read: Megatron-LM's arguments, DeepSpeed's JSON and a hostfile, torchtitan's tables (0.2) or command line \
      (0.3 and later), nanotron's YAML; or the folder of a launch that export wrote. The document is what estimate \
      --configuration prices and plan --compare compares a plan with.
      """)

  @Option(
    help: ArgumentHelp(
      "The framework: \(Configuration.frameworks.joined(separator: ", ")).", valueName: "framework"))
  var from: String

  @Argument(help: ArgumentHelp("Files of the framework, or a folder of them.", valueName: "file"))
  var files: [String]

  @Option(help: "Devices that train, where the files do not say.")
  var devices: Int?

  @Option(
    help: ArgumentHelp(
      "The model, where the files do not state it: a shipped model's name, a Hugging Face config.json, or a model file.",
      valueName: "name|file"))
  var model: String?

  @Option(help: ArgumentHelp("Write the configuration document here.", valueName: "file"))
  var output: String?

  @Flag(help: "Print the configuration document.")
  var json = false

  func validate() throws {
    guard (1...1_048_576).contains(devices ?? 1) else { throw ValidationError("--devices is from 1 to 1048576") }
  }

  func run() throws {
    try reportingErrors {
      if let output { try tryWritingFile(at: output) }
      let model = try model.map { (name) throws(SextantError) in try Model.named(name) }
      let configuration = try Configuration(files: files, from: from, devices: devices, model: model)
      if let output { try configuration.write(to: output) }
      try emit(json ? configuration.json : ConfigurationReport(configuration: configuration.document).text)
    }
  }
}
