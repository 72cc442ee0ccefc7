import lepton

client = lepton.open()  # or lepton.connect(url, token), when a platform runs elsewhere
data = client.datasets.import_("customers.csv", name="customers")
data = client.datasets.clean(data.ref)
model = client.models.train(name="buyers", dataset=data.ref, target="bought", workers=2)
print(model.metrics)
client.endpoints.deploy("buyers", model=model.ref)
print(client.endpoints.predict("buyers", [{"age": 41, "income": 52000, "sex": "f"}]))
